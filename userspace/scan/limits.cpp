// The checks of `--max-…`, and what settings mean.
#include <algorithm>
#include <array>
#include <cstdio>

#include "scan/cause.hpp"
#include "scan/scan_report.hpp"

namespace sockleak {
namespace {

struct Meaning {
  const char* setting;
  const char* meaning;
};

constexpr Meaning kMeanings[] = {
    {"net.ipv4.ip_local_port_range", "ports for connect() and bind(0); widening it is the cheap cure for exhaustion"},
    {"net.ipv4.ip_local_reserved_ports", "left out of the range; put listeners inside the range here"},
    {"net.ipv4.tcp_tw_reuse",
     "1: connect() may take over a TIME_WAIT port after a second, 2: on loopback only, 0: never; needs timestamps; no "
     "help against ports that bind() got"},
    {"net.ipv4.tcp_fin_timeout", "bounds FIN_WAIT2 of closed sockets; does not shorten TIME_WAIT (always 60 s)"},
    {"net.ipv4.tcp_max_tw_buckets", "above it TIME_WAIT is skipped; harmless, and no cure for exhaustion"},
    {"net.ipv4.tcp_max_orphans", "above it closed sockets are reset; does not touch ESTABLISHED or CLOSE_WAIT"},
    {"net.ipv4.tcp_orphan_retries", "how often a closed socket retries (0 means 8) before the kernel gives up"},
    {"net.ipv4.tcp_keepalive_time",
     "seconds of silence before the first probe; only for sockets with SO_KEEPALIVE; does not end CLOSE_WAIT"},
    {"net.ipv4.tcp_keepalive_intvl", "seconds between probes"},
    {"net.ipv4.tcp_keepalive_probes", "unanswered probes until the connection is reset"},
    {"net.core.somaxconn", "most connections that may wait for accept()"},
};

}  // namespace

const char* meaning_of(std::string_view setting) {
  for (const Meaning& known : kMeanings) {
    if (setting == known.setting) return known.meaning;
  }
  return "";
}

bool is_close_wait(const ScanSocket& socket) {
  return socket.state == TcpState::kCloseWait && socket.ownerless != std::optional(true);
}

std::vector<std::string> exceeded_limits(const ScanReport& report, const ScanLimits& limits) {
  std::vector<std::string> exceeded;
  std::uint64_t close_wait = 0, ownerless = 0;
  for (const std::size_t index : report.selected) {
    const ScanSocket& socket = report.snapshot.sockets[index];
    close_wait += socket.state == TcpState::kCloseWait ? 1U : 0U;
    ownerless += counts_as_ownerless(socket) ? 1U : 0U;
  }
  if (limits.close_wait && close_wait > *limits.close_wait) {
    exceeded.push_back(std::to_string(close_wait) + " sockets in CLOSE_WAIT, more than " +
                       std::to_string(*limits.close_wait));
  }
  if (limits.ownerless && ownerless > *limits.ownerless) {
    exceeded.push_back(std::to_string(ownerless) + " ownerless sockets, more than " + std::to_string(*limits.ownerless));
  }
  if (!limits.port_use) return exceeded;
  for (const PortReport& ports : report.ports) {
    const auto check = [&](const PortUse& use, const std::string& towards) {
      if (ports.percent(use) <= *limits.port_use) return false;
      std::array<char, 64> percent{};
      std::snprintf(percent.data(), percent.size(), "%.0f %% of the ephemeral ports (%zu of %zu)", ports.percent(use),
                    use.used, ports.range);
      exceeded.push_back(std::string(percent.data()) + " are used " + towards + ", network namespace " +
                         std::to_string(ports.netns.value));
      return true;
    };
    // Sorted by use: the first is the worst, and says enough.
    const std::string from = ports.destinations.empty() ? "" : "from " + address_text(ports.destinations.front().local);
    if (!ports.destinations.empty() &&
        check(ports.destinations.front(), from + " to " + to_string(ports.destinations.front().remote))) {
      continue;
    }
    if (!ports.binds.empty() &&
        check(ports.binds.front(), "for bind() to " + address_text(ports.binds.front().local))) {
      continue;
    }
    PortUse everybody;
    everybody.used = ports.blocked.size();
    check(everybody, "by bind() and listeners, for everybody");
  }
  return exceeded;
}

}  // namespace sockleak
