// What the kernel side counts of families that are not followed.
#pragma once

#include "kernel/programs.hpp"
#include "source/family_counts.hpp"

namespace sockleak {

/// A look begins.
void forget_held_others(const Programs& programs);

[[nodiscard]] OtherFamilies count_others(const Programs& programs);

}  // namespace sockleak
