// The checks of `--max-…`, and which gauges a filter leaves.
#include <algorithm>
#include <array>
#include <cstdio>
#include <unordered_set>

#include "base/text.hpp"
#include "scan/cause.hpp"
#include "scan/scan_report.hpp"

namespace sockleak {
namespace {

void check_ports(const PortReport& ports, double most, std::vector<std::string>& exceeded) {
  const auto check = [&](std::size_t used, const std::string& towards) {
    if (ports.percent(used) <= most) return false;
    std::array<char, 96> share{};
    std::snprintf(share.data(), share.size(), "%.0f %% of the ephemeral ports (%zu of %zu, more than %.0f %%)",
                  ports.percent(used), used, ports.range, most);
    exceeded.push_back(std::string(share.data()) + " are used " + towards + ", network namespace " +
                       std::to_string(ports.netns.value) + (ports.name.empty() ? "" : " of " + escape_terminal(ports.name)));
    return true;
  };
  // Sorted by use: the first is the worst, and says enough.
  if (!ports.destinations.empty()) {
    const PortUse& worst = ports.destinations.front();
    if (check(worst.used, "from " + address_text(worst.local) + " to " + to_string(worst.remote))) return;
  }
  if (!ports.binds.empty()) {
    if (check(ports.binds.front().used, "for bind() to " + address_text(ports.binds.front().local))) return;
  }
  check(ports.blocked.size(), "by bind() and listeners, for everybody");
}

}  // namespace

void check_limits(ScanReport& report, const ScanLimits& limits) {
  std::uint64_t close_wait = 0, ownerless = 0, unsure = 0;
  for (const std::size_t index : report.selected) {
    const ScanSocket& socket = report.snapshot.sockets[index];
    close_wait += socket.state == TcpState::kCloseWait ? 1U : 0U;
    ownerless += counts_as_ownerless(socket) ? 1U : 0U;
    unsure += socket.ownerless ? 0U : 1U;
  }
  if (limits.close_wait && close_wait > *limits.close_wait) {
    report.exceeded.push_back(counted(close_wait, "socket", "sockets") + " in CLOSE_WAIT, more than " +
                              count_text(*limits.close_wait));
  }
  if (limits.ownerless && ownerless > *limits.ownerless) {
    report.exceeded.push_back(counted(ownerless, "ownerless socket", "ownerless sockets") + ", more than " +
                              count_text(*limits.ownerless));
  } else if (limits.ownerless && ownerless + unsure > *limits.ownerless) {
    report.undecided.push_back(counted(unsure, "socket", "sockets") + " whose holder cannot be seen may be ownerless, " +
                               "which would be more than " + count_text(*limits.ownerless));
  }
  if (!limits.port_use) return;
  for (const PortReport& ports : report.ports) check_ports(ports, *limits.port_use, report.exceeded);
}

void keep_gauges_of_selected(ScanReport& report) {
  Snapshot& snapshot = report.snapshot;
  std::unordered_set<std::uint64_t> namespaces;
  std::unordered_set<std::uint32_t> processes;
  for (const std::size_t index : report.selected) {
    namespaces.insert(snapshot.sockets[index].netns.value);
    for (const ScanHolder& holder : snapshot.sockets[index].holders) processes.insert(holder.pid.value);
  }
  for (const std::size_t index : report.selected_others) {
    for (const ScanHolder& holder : snapshot.others[index].holders) processes.insert(holder.pid.value);
  }
  std::erase_if(report.ports, [&](const PortReport& ports) { return !namespaces.contains(ports.netns.value); });
  std::erase_if(snapshot.descriptors, [&](const DescriptorUse& use) { return !processes.contains(use.pid.value); });
  std::erase_if(snapshot.namespaces, [&](const NetworkNamespace& one) { return !namespaces.contains(one.id.value); });
}

}  // namespace sockleak
