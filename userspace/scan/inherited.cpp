#include "scan/inherited.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <string>
#include <unordered_map>
#include <unordered_set>

namespace sockleak {
namespace {

class Processes {
 public:
  explicit Processes(const Snapshot& snapshot) {
    for (const ScanTask& task : snapshot.tasks) {
      if (!task.ended) credentials_.insert(task.credentials);
      if (task.pid == task.tid) executed_[task.pid.value] = task.executed;
    }
  }

  [[nodiscard]] bool has_creator(const ScanSocket& socket) const { return credentials_.contains(socket.credentials); }
  [[nodiscard]] bool has_executed(Pid pid) const {
    const auto found = executed_.find(pid.value);
    return found != executed_.end() && found->second;
  }

 private:
  std::unordered_set<std::uint64_t> credentials_;
  std::unordered_map<std::uint32_t, bool> executed_;
};

}  // namespace

std::vector<SocketId> inherited_listeners(const Snapshot& snapshot, const UidOf& uid_of) {
  std::vector<SocketId> inherited;
  if (!snapshot.every_task) return inherited;
  const Processes processes(snapshot);
  for (const ScanSocket& socket : snapshot.sockets) {
    if (socket.state != TcpState::kListen || socket.kernel || socket.awaited || socket.credentials == 0) continue;
    if (socket.holders.empty() || processes.has_creator(socket)) continue;
    const bool by_accident = std::all_of(socket.holders.begin(), socket.holders.end(), [&](const ScanHolder& holder) {
      return holder.via == Via::kDescriptor && !holder.close_on_exec && processes.has_executed(holder.pid) &&
             uid_of(holder.pid) == socket.uid;
    });
    if (by_accident) inherited.push_back(socket.cookie);
  }
  return inherited;
}

std::optional<std::uint32_t> uid_of_process(Pid pid) {
  struct stat status {};
  if (::stat(("/proc/" + std::to_string(pid.value)).c_str(), &status) != 0) return {};
  return status.st_uid;
}

}  // namespace sockleak
