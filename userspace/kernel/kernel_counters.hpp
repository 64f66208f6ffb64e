// What the kernel side counts, summed over processors.
#pragma once

#include <cstdint>

#include "base/counters.hpp"

namespace sockleak {

/// `map` is sl_counters' descriptor, `index` an SL_COUNTER_*. 0 if it cannot be read.
[[nodiscard]] std::uint64_t kernel_counter(int map, std::uint32_t index);

/// All that it counted as lost.
[[nodiscard]] Counters kernel_losses(int map);

}  // namespace sockleak
