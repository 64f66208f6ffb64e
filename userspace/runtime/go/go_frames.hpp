// Names of Go's functions, without debug information.
#pragma once

#include <cstdint>
#include <vector>

#include "stack/go_table.hpp"
#include "stack/stack.hpp"

namespace sockleak {

/// Functions at the code address `pc`, innermost first; empty if no function of Go's is there. Only function, file,
/// line, inlined and kind are set.
[[nodiscard]] std::vector<Frame> go_frames(GoTable& table, std::uint64_t pc);

}  // namespace sockleak
