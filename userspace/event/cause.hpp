// What keeps a socket open, and why it is there although no descriptor that everybody sees refers to it.
#pragma once

#include <cstdint>

namespace sockleak {

/// Numbers as SL_VIA_* in bpf/abi/wire.h.
enum class Via : std::uint8_t { kDescriptor = 1, kRingSlot, kInFlight, kMapping, kEndingTask, kRequest, kSleeper };
[[nodiscard]] const char* to_string(Via via);  // "fd" | "io_uring" | "scm_rights" | "mmap" | …

/// Numbers as SL_CAUSE_* in bpf/abi/wire.h.
enum class Cause : std::uint8_t {
  kNone,  // held by a descriptor that everybody can see
  kAcceptQueue, kOrphan, kStuckExit, kInFlight, kRingSlot, kRingRequest, kBlockedCall, kMapping, kKernel, kMptcpSubflow,
  kTimeWait, kRequest,
  kZombieLeader, kUnsharedFiles,  // held, but `ss -p` does not look there
  kHidden,   // whoever holds it may belong to somebody else, and that cannot be seen
  kUnknown,  // nothing proves a cause
};
[[nodiscard]] const char* to_string(Cause cause);  // "accept-queue" …

/// What to do about it; empty if there is nothing to do. `through_bpf`: everything was searched.
[[nodiscard]] const char* remedy_for(Cause cause, bool through_bpf = true);

}  // namespace sockleak
