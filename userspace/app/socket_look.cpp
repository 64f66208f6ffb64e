#include "app/socket_look.hpp"

#include <algorithm>
#include <unordered_map>

#include "process/procfs.hpp"
#include "scan/cause.hpp"
#include "scan/diag_walk.hpp"

namespace sockleak {
namespace {

/// Which cgroup a process is in; asked only if a filter wants it.
class Cgroups {
 public:
  std::string_view of(Pid pid) {
    const auto [at, added] = paths_.try_emplace(pid.value);
    if (added) at->second = procfs_.cgroup(pid);
    return at->second;
  }

 private:
  Procfs procfs_;
  std::unordered_map<std::uint32_t, std::string> paths_;
};

}  // namespace

SocketLook SocketLook::open() {
  SocketLook look;
  if (auto kernel = KernelWalk::open()) {
    look.kernel_.emplace(std::move(*kernel));
  } else {
    look.without_bpf_ = kernel.error();
  }
  return look;
}

Result<Snapshot> SocketLook::take(const ScanProgress& progress) {
  if (kernel_) return kernel_->take(progress);
  auto snapshot = take_through_sock_diag(progress);
  if (snapshot) find_causes(*snapshot);
  return snapshot;
}

Result<Snapshot> SocketLook::take_confirmed(const ScanProgress& progress, const std::function<bool(Duration)>& wait,
                                            const std::function<bool(const Snapshot&)>& matters) {
  auto first = take(progress);
  if (!first) return first;
  const bool doubtful = std::any_of(first->sockets.begin(), first->sockets.end(),
                                    [](const ScanSocket& socket) { return needs_confirmation(socket.cause); });
  if (!doubtful || !matters(*first) || !wait(kSecondLook)) return first;
  auto second = take(progress);
  if (!second) return second;
  distrust_unrepeated(*second, *first);
  return second;
}

std::vector<std::size_t> selected_sockets(const Snapshot& snapshot, const Filter& filter) {
  Cgroups cgroups;
  std::function<std::string_view(Pid)> cgroup_of;
  if (filter.mentions("cgroup")) cgroup_of = [&](Pid pid) { return cgroups.of(pid); };
  const bool holders_known = snapshot.hidden_processes == 0;
  std::vector<std::size_t> selected;
  for (std::size_t i = 0; i < snapshot.sockets.size(); ++i) {
    if (filter.is_empty() || filter.matches(subject_of(snapshot.sockets[i], holders_known, cgroup_of))) {
      selected.push_back(i);
    }
  }
  return selected;
}

}  // namespace sockleak
