#include "scan/ports.hpp"

#include <algorithm>
#include <bitset>

namespace sockleak {
namespace {

using Ports = std::bitset<65536>;

constexpr Duration kTimeWait = std::chrono::seconds(60);  // TCP_TIMEWAIT_LEN, not configurable

bool is_any(const Endpoint& endpoint) {
  return std::all_of(endpoint.address.begin(), endpoint.address.end(), [](auto byte) { return byte == 0; });
}

bool is_loopback(const Endpoint& endpoint) {
  if (endpoint.family == Family::kInet) return endpoint.address[0] == 127;
  return endpoint.address[15] == 1 &&
         std::all_of(endpoint.address.begin(), endpoint.address.end() - 1, [](auto byte) { return byte == 0; });
}

/// tcp_twsk_unique() (net/ipv4/tcp_ipv4.c): whether connect() may take the port over.
bool is_reusable(const ScanSocket& socket, const NetworkNamespace& facts) {
  if (socket.state != TcpState::kTimeWait || socket.substate == TcpState::kFinWait2 || !socket.timestamps) return false;
  const bool loopback = is_loopback(unmapped(socket.addresses.local)) || is_loopback(unmapped(socket.addresses.remote));
  if (facts.tw_reuse != 1 && !(facts.tw_reuse == 2 && loopback)) return false;
  return socket.time_wait_left && kTimeWait - *socket.time_wait_left >= facts.tw_reuse_delay;
}

struct Usage {
  std::vector<std::uint16_t> used;
  std::size_t time_wait = 0, leaked = 0;
};

class Gauge {
 public:
  explicit Gauge(const NetworkNamespace& facts) : facts_(facts) {
    for (std::size_t port = facts.first_port; port <= facts.last_port; ++port) range_.set(port);
    for (const auto& [first, last] : facts.reserved) {
      for (std::size_t port = first; port <= last; ++port) range_.reset(port);
    }
  }

  void add(const ScanSocket& socket) {
    const std::uint16_t port = socket.addresses.local.port;
    if (socket.addresses.protocol != Protocol::kTcp || !range_.test(port)) return;
    Endpoint local = unmapped(socket.addresses.local);
    local.port = 0;
    const bool listening = socket.state == TcpState::kListen;
    if (socket.has_port && socket.blocks_port) {
      if (!blocked_.test(port) || listening) note_blocked(socket, port, listening);
      blocked_.set(port);
      if (!listening && !is_any(local)) binders_.emplace(local, 0);
    }
    if (socket.has_port) holders_[local].set(port);
    if (listening || socket.state == TcpState::kClose || is_reusable(socket, facts_)) return;
    Usage& usage = destinations_[{local, unmapped(socket.addresses.remote)}];
    usage.used.push_back(port);
    usage.time_wait += socket.state == TcpState::kTimeWait ? 1U : 0U;
    usage.leaked += socket.state == TcpState::kCloseWait || socket.ownerless == std::optional(true) ? 1U : 0U;
  }

  PortReport report() const {
    PortReport out{facts_.id, facts_.name, facts_.first_port, facts_.last_port, range_.count(), {}, {}, {}};
    for (const auto& [port, blocked] : blocks_) out.blocked.push_back(blocked);
    for (const auto& [tuple, usage] : destinations_) {
      // Connections that a listener accepted share its port; they go to nobody's destination.
      const auto accepted = [&](std::uint16_t port) { return blocks_.contains(port) && blocks_.at(port).listening; };
      if (std::all_of(usage.used.begin(), usage.used.end(), accepted)) continue;
      Ports used = blocked_;
      for (const std::uint16_t port : usage.used) used.set(port);
      out.destinations.push_back({tuple.first, tuple.second, used.count(), usage.time_wait, usage.leaked, {}});
    }
    for (const auto& [local, unused] : binders_) {
      Ports taken;
      for (const auto& [address, ports] : holders_) {
        if (address == local || is_any(address)) taken |= ports;
      }
      out.binds.push_back({local, {}, taken.count(), 0, 0, {}});
    }
    const auto more = [](const PortUse& a, const PortUse& b) { return a.used > b.used; };
    std::stable_sort(out.destinations.begin(), out.destinations.end(), more);
    std::stable_sort(out.binds.begin(), out.binds.end(), more);
    return out;
  }

 private:
  void note_blocked(const ScanSocket& socket, std::uint16_t port, bool listening) {
    BlockedPort& blocked = blocks_[port];
    blocked.port = port;
    blocked.listening = blocked.listening || listening;
    if (!socket.holders.empty()) {
      const ScanHolder& holder = socket.holders.front();
      blocked.by = holder.comm + " (" + std::to_string(holder.pid.value) + ")";
    }
  }

  const NetworkNamespace& facts_;
  Ports range_, blocked_;
  std::map<std::uint16_t, BlockedPort> blocks_;
  std::map<std::pair<Endpoint, Endpoint>, Usage> destinations_;
  std::map<Endpoint, Ports> holders_;
  std::map<Endpoint, int> binders_;
};

}  // namespace

Endpoint unmapped(Endpoint endpoint) {
  constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  if (endpoint.family == Family::kInet6 && std::equal(kMapped.begin(), kMapped.end(), endpoint.address.begin())) {
    Endpoint out{Family::kInet, {}, endpoint.port};
    std::copy_n(endpoint.address.begin() + 12, 4, out.address.begin());
    return out;
  }
  return endpoint;
}

std::vector<PortReport> measure_ports(const Snapshot& snapshot) {
  std::map<NetnsId, Gauge> gauges;
  for (const NetworkNamespace& facts : snapshot.namespaces) gauges.try_emplace(facts.id, facts);
  for (const ScanSocket& socket : snapshot.sockets) {
    const auto gauge = gauges.find(socket.netns);
    if (gauge != gauges.end()) gauge->second.add(socket);
  }
  std::vector<PortReport> reports;
  for (const auto& [id, gauge] : gauges) reports.push_back(gauge.report());
  return reports;
}

void estimate_exhaustion(std::vector<PortReport>& now, const std::vector<PortReport>& earlier, Duration apart) {
  for (PortReport& report : now) {
    const auto before = std::find_if(earlier.begin(), earlier.end(),
                                     [&](const PortReport& other) { return other.netns == report.netns; });
    if (before == earlier.end()) continue;
    for (PortUse& use : report.destinations) {
      const auto was = std::find_if(before->destinations.begin(), before->destinations.end(), [&](const PortUse& other) {
        return other.local == use.local && other.remote == use.remote;
      });
      const std::size_t used_before = was == before->destinations.end() ? before->blocked.size() : was->used;
      if (use.used <= used_before || seconds(apart) <= 0) continue;
      const double rate = static_cast<double>(use.used - used_before) / seconds(apart);
      use.seconds_left = static_cast<double>(report.range - std::min(report.range, use.used)) / rate;
    }
  }
}

}  // namespace sockleak
