// The root of the cgroup2 hierarchy: where socket hooks see every socket of the machine.
#pragma once

#include "base/handle.hpp"
#include "base/result.hpp"

namespace sockleak {

/// Opens the mounted root (also below a hybrid host's /sys/fs/cgroup/unified), or a private mount that no other
/// process sees if the host has none (fsopen(2), Linux 5.2).
[[nodiscard]] Result<UniqueFd> open_cgroup_root();

}  // namespace sockleak
