// Walks a copied stack with the same rules as the kernel side: the slow path of a rule miss. Every rule it needs is
// compiled and handed to `learn`, so the next walk of the same path stays in the kernel.
#pragma once

#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/counters.hpp"
#include "stack/address_map.hpp"
#include "stack/rule_compiler.hpp"
#include "stack/stack.hpp"

namespace sockleak {

struct WalkedStack {
  RawStack stack;                // frames after those the kernel already had
  std::uint64_t unverified = 0;  // return addresses that do not follow a call instruction
};

/// Applies one rule. Nullopt: the copy does not hold the words needed (WalkEnd::kReadFailed) or the result is not
/// above the old frame (kInsane) - `end` tells which. SL_RULE_BP_DEREF with bp_offset 0 means that the saved bp is
/// where bp points: such a frame needs bp for itself, so it cannot have left it unchanged.
[[nodiscard]] std::optional<WalkState> step(const UnwindRule& rule, const WalkState& state, const StackCopy& copy,
                                            WalkEnd& end);

class SnapshotUnwinder {
 public:
  using Learn = std::function<void(std::uint64_t pc, const UnwindRule& rule)>;
  /// What is known of code that is in no file. `read`: its bytes, from the living process; false = not to be had.
  /// `keeps_frames`: whether all such code of the process is called with a frame pointer, whatever its bytes are: asked
  /// when these are gone. `rule`: how to get from `pc` to its caller, if whoever made the code says so; nullopt = nobody
  /// does.
  struct LivingCode {
    std::function<bool(Pid pid, KernelTime when, std::uint64_t address, std::span<std::byte> out)> read;
    std::function<bool(Pid pid, KernelTime when)> keeps_frames;
    std::function<std::optional<UnwindRule>(Pid pid, KernelTime when, std::uint64_t pc)> rule;
  };

  SnapshotUnwinder(ModuleStore& modules, const AddressMap& addresses, RuleCompiler& compiler)
      : modules_(modules), addresses_(addresses), compiler_(compiler) {}

  /// Without it nothing is guessed across code that was made at run time.
  void use(LivingCode code) { living_ = std::move(code); }

  /// Walks from copy.pc on. The first frame of the result is the caller of copy.pc's frame.
  WalkedStack walk(Pid pid, KernelTime when, const StackCopy& copy, std::size_t max_frames, const Learn& learn);

  /// Return addresses of a walk made elsewhere (the kernel side's) that do not follow a call instruction.
  [[nodiscard]] std::uint64_t unverified(Pid pid, KernelTime when, const RawStack& stack);

 private:
  class MappedCode;
  enum class Before : std::uint8_t { kCall, kNoCall, kUnreadable };
  /// The instruction before a file virtual address; answers are kept, as call sites repeat.
  Before instruction_before(ModuleId module, std::uint64_t address);

  ModuleStore& modules_;
  const AddressMap& addresses_;
  RuleCompiler& compiler_;
  LivingCode living_;
  std::unordered_map<std::uint64_t, Before> before_;
};

}  // namespace sockleak
