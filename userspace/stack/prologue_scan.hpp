// What a function has done to the stack where one of its instructions stands, told from its code alone: for code
// without unwind tables, such as musl's.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "stack/unwind_rule.hpp"

namespace sockleak {

struct ScannedCode {
  /// All paths through the function agree as far as they are seen; nullopt if they do not, or
  /// if the code does to the stack what no rule can say. A program may lie: validate on the stack.
  std::optional<UnwindRule> rule;
  /// Somewhere the function makes bp its frame pointer; one that does not has its caller's there.
  bool frames_bp = false;
};

/// What holds before the instruction `asked` bytes into `code`, which begins with its function and goes at least as far.
/// The more of the function there is, the more is understood: loops are entered from below.
[[nodiscard]] ScannedCode scan_prologue(std::span<const std::byte> code, std::uint64_t asked);

/// Where the first call instruction of `code` ends, counted from its begin; nullopt if there is none.
[[nodiscard]] std::optional<std::uint64_t> end_of_first_call(std::span<const std::byte> code);

}  // namespace sockleak
