// One live session, from the held command to the report: what trace and check have in common.
#pragma once

#include "app/options.hpp"
#include "base/result.hpp"

namespace sockleak {

/// The exit status; an Error if there is no report.
[[nodiscard]] Result<int> run_live(const Options& options);

}  // namespace sockleak
