// An unwind rule as user space knows it: the wire struct plus where it came from.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "base/ids.hpp"

extern "C" {
#include "abi/java_wire.h"
#include "abi/wire.h"
}

namespace sockleak {

enum class RuleSource : std::uint8_t { kCfi = 1, kDebugFrame, kFramePointer, kLeaf, kNoInformation, kOutermost, kPrologue, kGoTable, kHotspot };
[[nodiscard]] const char* to_string(RuleSource source);

using UnwindRule = sl_rule;

/// A copy of part of a thread's stack with the registers of its first frame.
struct StackCopy {
  std::uint64_t pc = 0, sp = 0, bp = 0;
  bool interrupted = false;              // pc is no return address
  std::span<const std::byte> bytes;      // memory from sp on
  std::uint64_t wanted = 0;              // bytes up to the stack's end; 0 = unknown

  /// The aligned word at `address`, if the copy holds it.
  [[nodiscard]] std::optional<std::uint64_t> word(std::uint64_t address) const;
};

/// Registers that a walk carries from frame to frame.
struct WalkState {
  std::uint64_t pc = 0, sp = 0, bp = 0;
  bool interrupted = false;
};

/// Says whether an address is code, and whether the instruction before it is a call: how a guessed rule is validated.
class CodeOracle {
 public:
  virtual ~CodeOracle() = default;
  [[nodiscard]] virtual bool is_code(std::uint64_t address) const = 0;
  [[nodiscard]] virtual bool follows_call(std::uint64_t address) const = 0;
};

}  // namespace sockleak
