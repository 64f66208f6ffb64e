#include "track/hand_over.hpp"

namespace sockleak {
namespace {

/// As an heir of `from`, who has had the socket since `since`.
[[nodiscard]] HandOver inherited(const ProcessId& from, KernelTime since, const ProcessId& holder,
                                 const ProcessTree& processes) {
  const auto line = processes.descent(from, holder);
  if (!line) return HandOver::kUnknown;
  if (line->left < since) return line->shares_files ? HandOver::kSharedFiles : HandOver::kUnknown;
  return line->execed ? HandOver::kForkExec : HandOver::kFork;
}

}  // namespace

ProcessId owner_of(const SocketRecord& socket) {
  return socket.creator.process.pid.value != 0 ? socket.creator.process : socket.first_holder;
}

HandOver hand_over_to(const ProcessId& holder, const SocketRecord& socket, const ProcessTree& processes) {
  const ProcessId owner = owner_of(socket);
  if (owner.pid.value == 0) return HandOver::kUnknown;
  if (holder == owner) {
    const auto exec = processes.last_exec(owner);
    return exec && *exec > socket.created ? HandOver::kExec : HandOver::kNone;
  }
  for (const Reception& reception : socket.received) {
    if (reception.by == holder) return reception.how == Received::kPidfd ? HandOver::kPidfdGetfd : HandOver::kScmRights;
  }
  if (const HandOver how = inherited(owner, socket.created, holder, processes); how != HandOver::kUnknown) return how;
  for (const Reception& reception : socket.received) {
    const HandOver how = inherited(reception.by, reception.when, holder, processes);
    if (how != HandOver::kUnknown) return how;
  }
  return HandOver::kUnknown;
}

}  // namespace sockleak
