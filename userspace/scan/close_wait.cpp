#include "scan/close_wait.hpp"

#include <algorithm>
#include <map>

namespace sockleak {
namespace {

constexpr std::size_t kDescriptorsNamed = 8;

/// CLOSE_WAIT, not ownerless: the peer closed and the program did not.
bool is_forgotten(const ScanSocket& socket) {
  return socket.state == TcpState::kCloseWait && socket.ownerless != std::optional(true);
}

}  // namespace

std::vector<CloseWaitGroup> close_wait_by_holder(const ScanReport& report) {
  std::map<std::uint32_t, CloseWaitGroup> groups;
  for (const std::size_t index : report.selected) {
    const ScanSocket& socket = report.snapshot.sockets[index];
    if (!is_forgotten(socket)) continue;
    const ScanHolder* holder = socket.holders.empty() ? nullptr : &socket.holders.front();
    CloseWaitGroup& group = groups[holder == nullptr ? 0 : holder->pid.value];
    ++group.count;
    const Duration age = socket.since_peer.value_or(Duration::zero());
    group.oldest = std::max(group.oldest, age);
    std::find_if(group.ages.begin(), group.ages.end() - 1, [&](const CloseWaitAge& one) {
      return age >= one.at_least;
    })->count += 1;
    if (holder == nullptr) continue;
    group.pid = holder->pid;
    group.comm = holder->comm;
    if (group.descriptors.size() < kDescriptorsNamed) group.descriptors.push_back(holder->place.value);
  }
  std::vector<CloseWaitGroup> sorted;
  for (auto& [pid, group] : groups) sorted.push_back(std::move(group));
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const CloseWaitGroup& a, const CloseWaitGroup& b) { return a.count > b.count; });
  return sorted;
}

}  // namespace sockleak
