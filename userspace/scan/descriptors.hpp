// How full processes' descriptor tables are.
#pragma once

#include "scan/snapshot.hpp"

namespace sockleak {

/// Processes that use at least kNearLimit percent of RLIMIT_NOFILE, most loaded first.
inline constexpr double kNearLimit = 80;
[[nodiscard]] std::vector<DescriptorUse> descriptor_use(const std::vector<ScanTask>& tasks);

/// The same from /proc/PID/limits, for these processes.
[[nodiscard]] std::vector<DescriptorUse> descriptor_use_in_proc(const std::vector<Pid>& pids);

/// Open descriptors of a process; 0 if it cannot be seen.
[[nodiscard]] std::uint64_t count_descriptors(Pid pid);

}  // namespace sockleak
