// The root of the cgroup2 hierarchy: where socket hooks see every socket of the machine.
#pragma once

#include <cstdint>
#include <string>

#include "base/handle.hpp"
#include "base/result.hpp"

namespace sockleak {

/// Opens the mounted root (also below a hybrid host's /sys/fs/cgroup/unified), or a private mount that no other
/// process sees if the host has none (fsopen(2), Linux 5.2).
[[nodiscard]] Result<UniqueFd> open_cgroup_root();

struct Cgroup {
  UniqueFd directory;
  std::string path;        // below the root: "/system.slice/x.service"
  std::uint64_t id = 0;    // what the kernel calls it
  std::uint32_t level = 0;  // 0 = the root
};
/// `path`: below `root`, with or without a slash in front, or that of a directory. Usage error if there is no such group.
[[nodiscard]] Result<Cgroup> open_cgroup(const UniqueFd& root, const std::string& path);

}  // namespace sockleak
