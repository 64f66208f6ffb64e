// Sockets of families that are not followed, for the report.
#pragma once

#include <vector>

#include "report/report.hpp"
#include "source/family_counts.hpp"

namespace sockleak {

/// Most first. `at_exit`: what ended processes had open counts, too.
[[nodiscard]] std::vector<ReportFamily> left_open(const OtherFamilies& others, bool at_exit);

}  // namespace sockleak
