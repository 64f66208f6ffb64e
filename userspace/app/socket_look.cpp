#include "app/socket_look.hpp"

#include <algorithm>
#include <unordered_map>

#include "process/procfs.hpp"
#include "scan/cause.hpp"
#include "scan/diag_walk.hpp"
#include "scan/inherited.hpp"

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

template <typename Socket>
std::vector<std::size_t> selected(const std::vector<Socket>& sockets, bool holders_known, const Filter& filter) {
  Cgroups cgroups;
  std::function<std::string_view(Pid)> cgroup_of;
  if (filter.mentions("cgroup")) cgroup_of = [&](Pid pid) { return cgroups.of(pid); };
  std::vector<std::size_t> selected;
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    if (filter.is_empty() || filter.matches(subject_of(sockets[i], holders_known, cgroup_of))) selected.push_back(i);
  }
  return selected;
}

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
  std::vector<SocketId> inherited = inherited_listeners(*first, uid_of_process);
  if (inherited.empty() && !(doubtful && matters(*first))) return first;
  if (!wait(kSecondLook)) return first;
  auto second = take(progress);
  if (!second) return second;
  for (const SocketId id : inherited_listeners(*second, uid_of_process)) {
    if (std::find(inherited.begin(), inherited.end(), id) != inherited.end()) second->inherited.push_back(id);
  }
  distrust_unrepeated(*second, *first);
  return second;
}

std::vector<std::size_t> selected_sockets(const Snapshot& snapshot, const Filter& filter) {
  return selected(snapshot.sockets, snapshot.hidden_processes == 0, filter);
}

std::vector<std::size_t> selected_others(const Snapshot& snapshot, const Filter& filter) {
  return selected(snapshot.others, snapshot.hidden_processes == 0, filter);
}

}  // namespace sockleak
