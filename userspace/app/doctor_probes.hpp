// What `scan` and `destroy` need of this kernel and these privileges, found by trying.
#pragma once

#include <vector>

#include "kernel/kernel_features.hpp"

namespace sockleak {

/// None of it is required for tracing. Touches no socket of anybody's.
[[nodiscard]] std::vector<Feature> probe_scan_and_destroy();

}  // namespace sockleak
