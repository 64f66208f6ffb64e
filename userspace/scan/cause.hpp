// Why a socket is still there although no descriptor that `ss` looks at refers to it. A cause is given only with
// evidence of its own; otherwise it is `unknown`, or `hidden` where holders may be out of sight.
#pragma once

#include "scan/snapshot.hpp"

namespace sockleak {

/// Fills cause, ownerless and evidence of every socket; may be called again when more holders are known.
void find_causes(Snapshot& snapshot);

/// Whether to look again in a moment before believing it: a close in progress looks the same.
[[nodiscard]] bool needs_confirmation(Cause cause);
/// What a second look needs so long after the first: a close that is just happening, and io_uring's teardown, take less
/// (8 to 22 ms were measured).
inline constexpr Duration kSecondLook = std::chrono::seconds(1);
/// Takes back the causes of the second look that need confirmation and were not found by the first.
void distrust_unrepeated(Snapshot& second, const Snapshot& first);

/// Whether the cause is an emergency worth counting: no descriptor anywhere, and it does not pass by itself at once.
[[nodiscard]] bool counts_as_ownerless(const ScanSocket& socket);

/// A TCP socket that is closed or was never used, with a descriptor: `ss` and inet_diag do not list it.
[[nodiscard]] bool is_invisible_to_ss(const ScanSocket& socket);

}  // namespace sockleak
