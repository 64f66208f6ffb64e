// The decision procedure. S = sk_socket, F = its file, D = SOCK_DEAD, K = sk_kern_sock:
//   TIME_WAIT, NEW_SYN_RECV        no full socket: normal
//   K, the inode of an MPTCP socket  one of its subflows: held by whoever holds that
//   K, or S without F              the kernel's own
//   no S, D                        closed by its owner; the kernel ends the connection
//   no S, not D                    waits in an accept queue, if there is such a listener
//   S and F                        whoever holds the file, by direct evidence first
#include "scan/cause.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <unordered_map>

#include "base/text.hpp"

namespace sockleak {
namespace {

std::string named(const std::string& comm, Pid pid) {
  return (comm.empty() ? std::string("pid") : escape_terminal(comm)) + " (" + std::to_string(pid.value) + ")";
}

class Inquiry {
 public:
  explicit Inquiry(Snapshot& snapshot) : snapshot_(snapshot) {
    for (const ScanTask& task : snapshot.tasks) {
      tasks_.emplace(task.identity, &task);
      // exit_files() has taken its table away, and it has not ended: closing something takes long.
      if (task.exiting && !task.ended && task.files == 0) ending_.emplace(task.credentials, &task);
    }
    for (const ScanSocket& socket : snapshot.sockets) {
      if (socket.state == TcpState::kListen && socket.addresses.protocol != Protocol::kUdp) {
        listeners_[{socket.netns, socket.addresses.local.port}].push_back(&socket);
      }
      if (socket.addresses.protocol == Protocol::kMptcp && socket.inode != 0) {
        mptcp_.emplace(std::pair(socket.netns, socket.inode), &socket);
      }
    }
  }

  void judge(ScanSocket& socket) {
    socket.ownerless = true;
    socket.evidence.clear();
    if (socket.mini) return judge_mini(socket);
    if (socket.kernel && socket.has_socket && socket.holders.empty()) inherit_holders(socket);
    const bool held = std::any_of(socket.holders.begin(), socket.holders.end(),
                                  [](const ScanHolder& holder) { return holder.via == Via::kDescriptor; });
    if (held) return judge_held(socket);
    if (socket.mptcp) {
      return set(socket, Cause::kMptcpSubflow,
                 socket.has_socket ? "a subflow of an MPTCP connection that no descriptor refers to"
                                   : "a subflow of an MPTCP connection that was closed");
    }
    if (socket.kernel) return set(socket, Cause::kKernel, "created by the kernel (sk_kern_sock)");
    if (!socket.has_socket) return socket.dead ? judge_dead(socket) : judge_unaccepted(socket);
    if (snapshot_.through_bpf && !socket.has_file) {
      return set(socket, Cause::kKernel, "has no file: some part of the kernel opened it for itself");
    }
    judge_file(socket);
  }

 private:
  static void set(ScanSocket& socket, Cause cause, std::string evidence) {
    socket.cause = cause;
    socket.evidence = std::move(evidence);
  }

  /// The kernel makes the subflows of an MPTCP socket for itself, and gives them its inode (mptcp_subflow_create_socket).
  void inherit_holders(ScanSocket& subflow) const {
    const auto connection = mptcp_.find({subflow.netns, subflow.inode});
    if (connection != mptcp_.end() && connection->second != &subflow) subflow.holders = connection->second->holders;
  }

  static void judge_mini(ScanSocket& socket) {
    socket.ownerless = false;  // not a socket any more, or not yet
    if (socket.state == TcpState::kTimeWait) return set(socket, Cause::kTimeWait, "");
    set(socket, Cause::kRequest, "");
  }

  static void judge_held(ScanSocket& socket) {
    socket.ownerless = false;
    socket.cause = Cause::kNone;
    const auto seen_by_ss = [](const ScanHolder& holder) {
      return holder.via == Via::kDescriptor && holder.tid == holder.pid && !holder.leader_ended;
    };
    if (std::any_of(socket.holders.begin(), socket.holders.end(), seen_by_ss)) return;
    const ScanHolder& holder = *std::find_if(socket.holders.begin(), socket.holders.end(), [](const ScanHolder& one) {
      return one.via == Via::kDescriptor;
    });
    const std::string thread = "thread " + std::to_string(holder.tid.value) + " of " + named(holder.comm, holder.pid) +
                               " holds it as fd " + std::to_string(holder.place.value);
    if (holder.leader_ended) {
      return set(socket, Cause::kZombieLeader, thread + "; the main thread has ended, so /proc/PID/fd is empty");
    }
    set(socket, Cause::kUnsharedFiles, thread + " in a descriptor table of its own");
  }

  static void judge_dead(ScanSocket& socket) {
    std::string evidence = "closed by its owner (SOCK_DEAD)";
    if (socket.send_queue > 0) evidence += "; " + std::to_string(socket.send_queue) + " bytes are not acknowledged";
    set(socket, Cause::kOrphan, std::move(evidence));
  }

  void judge_unaccepted(ScanSocket& socket) {
    if (const ScanSocket* listener = listener_of(socket)) {
      std::string evidence = to_string(listener->addresses.local) + " has " + std::to_string(listener->ack_backlog) +
                             " of " + std::to_string(listener->max_ack_backlog) + " connections waiting for accept()";
      for (const ScanHolder& holder : listener->holders) {
        if (holder.via != Via::kDescriptor) continue;
        evidence += "; listener: " + named(holder.comm, holder.pid) + " fd " + std::to_string(holder.place.value);
        break;
      }
      socket.listener = listener->cookie;
      return set(socket, Cause::kAcceptQueue, std::move(evidence));
    }
    set(socket, Cause::kUnknown, "no socket, not closed, and no listener whose accept queue it could be in");
  }

  const ScanSocket* listener_of(const ScanSocket& socket) const {
    const auto at = listeners_.find({socket.netns, socket.addresses.local.port});
    if (at == listeners_.end()) return nullptr;
    const ScanSocket* any = nullptr;
    for (const ScanSocket* listener : at->second) {
      if (listener->ack_backlog == 0) continue;
      const Endpoint& local = listener->addresses.local;
      if (local == socket.addresses.local) return listener;
      const bool wildcard = std::all_of(local.address.begin(), local.address.end(), [](auto byte) { return byte == 0; });
      if (wildcard && (local.family == socket.addresses.local.family || local.family == Family::kInet6)) any = listener;
    }
    return any;
  }

  void judge_file(ScanSocket& socket) {
    for (const ScanHolder& holder : socket.holders) {
      switch (holder.via) {
        case Via::kEndingTask:
          return set(socket, Cause::kStuckExit,
                     named(holder.comm, holder.pid) + " is exiting and its close of this socket is still pending");
        case Via::kRingSlot:
          return set(socket, Cause::kRingSlot, "slot " + std::to_string(holder.place.value) + " of an io_uring of " +
                                                   named(holder.comm, holder.pid));
        case Via::kInFlight:
          return set(socket, Cause::kInFlight,
                     holder.pid.value == 0
                         ? std::string("in a message in the queue of a unix socket that nobody holds")
                         : "in a message that " + named(holder.comm, holder.pid) + " has not received from its fd " +
                               std::to_string(holder.place.value));
        case Via::kMapping:
          return set(socket, Cause::kMapping, "mapped into the memory of " + named(holder.comm, holder.pid));
        default:
          break;
      }
    }
    if (const ScanTask* task = task_of(socket.ring_sleeper)) {
      hold(socket, Via::kRequest, *task);
      return set(socket, Cause::kRingRequest, "an io_uring request of " + named(task->comm, task->pid) + " waits on it");
    }
    for (const std::uint64_t sleeper : socket.sleepers) {
      const ScanTask* task = task_of(sleeper);
      if (task == nullptr) continue;
      hold(socket, Via::kSleeper, *task);
      return set(socket, Cause::kBlockedCall,
                 "thread " + std::to_string(task->tid.value) + " of " + named(task->comm, task->pid) +
                     " sleeps in a call on it; its descriptor was closed meanwhile");
    }
    if (socket.credentials != 0) {
      const auto ending = ending_.find(socket.credentials);
      if (ending != ending_.end()) {
        hold(socket, Via::kEndingTask, *ending->second);
        return set(socket, Cause::kStuckExit,
                   named(ending->second->comm, ending->second->pid) +
                       " opened it, is exiting, and has not finished closing its files");
      }
    }
    if (snapshot_.hidden_processes > 0) {
      socket.ownerless.reset();
      return set(socket, Cause::kHidden, "the descriptors of " +
                                             counted(snapshot_.hidden_processes, "process", "processes") + " cannot be seen");
    }
    if (snapshot_.outer_processes) {
      socket.ownerless.reset();
      return set(socket, Cause::kHidden, "a process that cannot be looked at may hold it");
    }
    if (!snapshot_.through_bpf) {
      return set(socket, Cause::kUnknown,
                 "no descriptor refers to it; io_uring, messages in flight, mappings and pending calls were not searched");
    }
    set(socket, Cause::kUnknown,
        socket.file_references == 0
            ? std::string("its file is being closed, or is held by some part of the kernel")
            : std::to_string(socket.file_references) + " references to its file, none from a descriptor, ring, message, "
              "mapping or call: some part of the kernel holds it");
  }

  const ScanTask* task_of(std::uint64_t identity) const {
    if (identity == 0) return nullptr;
    const auto at = tasks_.find(identity);
    return at == tasks_.end() ? nullptr : at->second;
  }

  static void hold(ScanSocket& socket, Via via, const ScanTask& task) {
    const ScanHolder holder{via, task.pid, task.tid, Fd{-1}, false, false, task.comm, 0, task.start_ns};
    if (std::find(socket.holders.begin(), socket.holders.end(), holder) == socket.holders.end()) {
      socket.holders.push_back(holder);
    }
  }

  Snapshot& snapshot_;
  std::unordered_map<std::uint64_t, const ScanTask*> tasks_;
  std::unordered_map<std::uint64_t, const ScanTask*> ending_;  // by credentials
  std::map<std::pair<NetnsId, std::uint16_t>, std::vector<const ScanSocket*>> listeners_;
  std::map<std::pair<NetnsId, std::uint64_t>, const ScanSocket*> mptcp_;  // by inode
};

}  // namespace

void find_causes(Snapshot& snapshot) {
  Inquiry inquiry(snapshot);
  for (ScanSocket& socket : snapshot.sockets) inquiry.judge(socket);
}

bool needs_confirmation(Cause cause) {
  return cause == Cause::kUnknown || cause == Cause::kStuckExit || cause == Cause::kBlockedCall ||
         cause == Cause::kRingRequest;
}

void distrust_unrepeated(Snapshot& second, const Snapshot& first) {
  std::unordered_map<SocketId, Cause> doubtful;
  for (const ScanSocket& socket : first.sockets) {
    if (needs_confirmation(socket.cause)) doubtful.emplace(socket.cookie, socket.cause);
  }
  for (ScanSocket& socket : second.sockets) {
    if (!needs_confirmation(socket.cause)) continue;
    const auto before = doubtful.find(socket.cookie);
    if (before != doubtful.end() && before->second == socket.cause) continue;
    socket.cause = Cause::kUnknown;
    socket.evidence = "seen without a holder only once: it may be closing";
  }
}

bool counts_as_ownerless(const ScanSocket& socket) {
  return socket.ownerless == std::optional(true) && socket.cause != Cause::kKernel;
}

bool is_invisible_to_ss(const ScanSocket& socket) {
  return socket.addresses.protocol == Protocol::kTcp && socket.state == TcpState::kClose && !socket.holders.empty();
}

}  // namespace sockleak
