// Where a function's code lies. Compilers put what they expect to run seldom far away from the rest, and symbols that
// survive strip name one part only.
#pragma once

#include <cstdint>
#include <vector>

#include "stack/module_store.hpp"

namespace sockleak {

struct CodeRange {
  std::uint64_t begin = 0, end = 0;  // file virtual addresses
  /// Of a return address: it may be the end of the call's part.
  [[nodiscard]] bool has_call_before(std::uint64_t pc) const { return begin < pc && pc <= end; }
  friend bool operator==(const CodeRange&, const CodeRange&) = default;
};

/// `main` and every part that it jumps to.
[[nodiscard]] std::vector<CodeRange> function_parts(const Module& module, CodeRange main);

}  // namespace sockleak
