#include "scan/snapshot.hpp"

namespace sockleak {

const char* to_string(Via via) {
  switch (via) {
    case Via::kDescriptor:
      return "fd";
    case Via::kRingSlot:
      return "io_uring";
    case Via::kInFlight:
      return "scm_rights";
    case Via::kMapping:
      return "mmap";
    case Via::kEndingTask:
      return "exit";
    case Via::kRequest:
      return "io_uring-request";
    case Via::kSleeper:
      return "syscall";
  }
  return "fd";
}

const char* to_string(Cause cause) {
  switch (cause) {
    case Cause::kNone:
      return "";
    case Cause::kAcceptQueue:
      return "accept-queue";
    case Cause::kOrphan:
      return "orphan";
    case Cause::kStuckExit:
      return "stuck-exit";
    case Cause::kInFlight:
      return "in-flight";
    case Cause::kRingSlot:
      return "io-uring-slot";
    case Cause::kRingRequest:
      return "io-uring-request";
    case Cause::kBlockedCall:
      return "blocked-call";
    case Cause::kMapping:
      return "mapping";
    case Cause::kKernel:
      return "kernel";
    case Cause::kMptcpSubflow:
      return "mptcp-subflow";
    case Cause::kTimeWait:
      return "time-wait";
    case Cause::kRequest:
      return "request";
    case Cause::kZombieLeader:
      return "zombie-leader";
    case Cause::kUnsharedFiles:
      return "unshared-files";
    case Cause::kHidden:
      return "hidden";
    case Cause::kUnknown:
      return "unknown";
  }
  return "unknown";
}

FilterSubject subject_of(const ScanSocket& socket, bool holders_known,
                         const std::function<std::string_view(Pid)>& cgroup_of) {
  FilterSubject subject;
  subject.socket = socket.cookie;
  subject.inode = socket.inode;
  subject.protocol = socket.addresses.protocol;
  subject.state = socket.state;
  subject.addresses = socket.addresses;
  if (socket.netns.value != 0) subject.netns = socket.netns;
  subject.at_least_old = socket.idle;
  subject.ownerless = socket.ownerless;
  subject.cause = to_string(socket.cause);
  subject.holders_known = holders_known;
  subject.holders.reserve(socket.holders.size());
  for (const ScanHolder& holder : socket.holders) {
    subject.holders.push_back(
        {holder.pid, holder.tid, holder.comm, cgroup_of ? cgroup_of(holder.pid) : std::string_view()});
  }
  return subject;
}

}  // namespace sockleak
