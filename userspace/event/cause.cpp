// The words for what keeps a socket, and what to do about it.
#include "event/cause.hpp"

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

const char* remedy_for(Cause cause, bool through_bpf) {
  switch (cause) {
    case Cause::kAcceptQueue:
      return "mend the acceptor: it hangs, is too slow, or accept() fails for lack of descriptors (raise RLIMIT_NOFILE, "
             "find its leak); restarting it resets the waiting connections";
    case Cause::kOrphan:
      return "wait: the kernel gives up by itself (net.ipv4.tcp_orphan_retries, tcp_fin_timeout); a peer with a closed "
             "window can hold it for minutes";
    case Cause::kStuckExit:
      return "the process is dead already, signals do nothing: free the file system it hangs on (umount -f, "
             "/sys/fs/fuse/connections/N/abort, the NFS server)";
    case Cause::kInFlight:
      return "the receiver must call recvmsg(), or close that unix socket";
    case Cause::kRingSlot:
      return "the program must close the slot or unregister the files; ending it closes them too";
    case Cause::kRingRequest:
      return "the program must cancel the request, or shutdown() the socket before close()";
    case Cause::kBlockedCall:
      return "the program must shutdown() the socket before close(); any signal to that thread ends the call";
    case Cause::kMapping:
      return "the program must munmap() it";
    case Cause::kKernel:
      return "not a leak: unmount, disconnect or remove what uses it (NFS, SMB, iSCSI, NBD, WireGuard ...)";
    case Cause::kMptcpSubflow:
      return "wait: it ends with its MPTCP connection, after a minute at most";
    case Cause::kZombieLeader:
    case Cause::kUnsharedFiles:
      return "not a leak by itself: `ss -T` shows it";
    case Cause::kHidden:
      return "look as root in the host's pid namespace, where no security policy hides processes";
    case Cause::kUnknown:
      if (!through_bpf) return "run as root on a kernel from 5.12 on: what keeps it can be found through BPF";
      return "look for kernel users of the file (NBD, usbip, iSCSI, KCM, sunrpc): end it with their own tools";
    case Cause::kNone:
    case Cause::kTimeWait:
    case Cause::kRequest:
      return "";
  }
  return "";
}

}  // namespace sockleak
