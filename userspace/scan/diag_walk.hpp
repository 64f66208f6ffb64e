// The collector for everybody: sock_diag for the sockets of our own network namespace, /proc for the descriptors that
// we may see. It says what it could not see; causes that need the kernel's own pointers stay `unknown` or `hidden`.
#pragma once

#include "base/result.hpp"
#include "scan/snapshot.hpp"

namespace sockleak {

[[nodiscard]] Result<Snapshot> take_through_sock_diag(const ScanProgress& progress);

}  // namespace sockleak
