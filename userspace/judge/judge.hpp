// Runs every rule over all siblings and merges what is charged on one path into one finding.
#pragma once

#include <vector>

#include "judge/rule.hpp"

namespace sockleak {

/// Worst first; the same tracker state and `now` always give the same findings in the same order.
[[nodiscard]] std::vector<Finding> judge(const Tracker& tracker, KernelTime now, const JudgeOptions& options,
                                         const JudgeNames& names = {});

}  // namespace sockleak
