// Unwind rules for Go's functions. Go writes no .eh_frame; its own table says how deep each frame is.
#pragma once

#include <cstdint>
#include <optional>

#include "stack/go_table.hpp"
#include "stack/unwind_rule.hpp"

namespace sockleak {

/// The rule for the code address; nullopt if no function of Go's is there. STOP with kNoInformation where one is but
/// its frame cannot be said in a rule.
[[nodiscard]] std::optional<UnwindRule> go_rule(GoTable& table, std::uint64_t address);

/// Does a goroutine begin at this code address? The runtime writes the return address there by hand.
[[nodiscard]] bool is_goroutine_start(GoTable& table, std::uint64_t address);

}  // namespace sockleak
