// Runs every rule over every site and merges the accusations of one site into one finding.
#pragma once

#include <vector>

#include "judge/rule.hpp"

namespace sockleak {

/// Worst first; the same tracker state and `now` always give the same findings in the same order.
[[nodiscard]] std::vector<Finding> judge(const Tracker& tracker, KernelTime now, const JudgeOptions& options,
                                         const IsPooled& is_pooled = [](const SocketRecord&) { return false; });

}  // namespace sockleak
