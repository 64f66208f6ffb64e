// How long an x86-64 instruction is, and what it does to the stack pointer and to the flow of control. Nothing else of
// it is of interest: this is no disassembler.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace sockleak {

struct X86Instruction {
  enum class Does : std::uint8_t {
    kOther,
    kPush,          // value = bytes
    kPushBp,
    kPop,           // value = bytes
    kPopBp,
    kMoveSp,        // sp += value
    kSetBp,         // bp = sp
    kLeave,         // sp = bp, pop bp
    kBreakSp,       // sp is what no constant can say
    kCall,          // value = target, relative to the next instruction, if direct
    kJump,          // unconditional; value likewise
    kBranch,        // conditional; value likewise
    kEnd,           // ret, hlt, ud2: nothing goes on behind it
  };
  std::size_t length = 0;
  Does does = Does::kOther;
  bool direct = false;  // of a call, a jump or a branch: value is its target
  std::int64_t value = 0;
};

/// The instruction that `bytes` begin with; nullopt if it is none in 64-bit mode or cut off.
[[nodiscard]] std::optional<X86Instruction> decode_x86(std::span<const std::byte> bytes);

}  // namespace sockleak
