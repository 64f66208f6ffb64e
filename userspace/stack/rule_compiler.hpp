// program counter -> unwind rule, from the best source there is: .eh_frame through libdw, Go's function table,
// .debug_frame, else the function's own code, leaf rule or frame pointer if it holds on the stack copy at hand, else
// STOP. One CFI object per module, kept open.
#pragma once

#include <memory>
#include <unordered_map>

#include "stack/module_store.hpp"
#include "stack/unwind_rule.hpp"

namespace sockleak {

class RuleCompiler {
 public:
  explicit RuleCompiler(const ModuleStore& modules);
  ~RuleCompiler();

  /// The rule for file virtual address `address` of `module`. `state` and `copy` are the walk's, used to validate a
  /// rule that no unwind table backs; such rules are not cached. Never fails: STOP with kNoInformation at worst.
  UnwindRule compile(ModuleId module, std::uint64_t address, const WalkState& state, const StackCopy& copy,
                     const CodeOracle& code);

  /// Opens the module's unwind tables now, so that the first compile() is quick.
  void warm_up(ModuleId module);
  /// All that can be done before the program runs: what it does first must not wait for its tables.
  void prepare(ModuleId program);

  /// Is the code at `address` the trampoline that a signal handler returns to: mov $15, %eax or %rax; syscall?
  [[nodiscard]] static bool is_signal_return(const Module& module, std::uint64_t address);

  /// Is this return address the one below a goroutine's first function? No call has put it there.
  [[nodiscard]] bool is_goroutine_start(ModuleId module, std::uint64_t address);

  [[nodiscard]] std::uint64_t compiled() const { return compiled_; }

 private:
  struct Tables;
  Tables& tables(ModuleId module);
  static bool is_outermost(const Module& module, std::uint64_t entry, std::uint64_t address);
  std::optional<UnwindRule> scan(ModuleId id, std::uint64_t address, const WalkState& state, const StackCopy& copy,
                                 const CodeOracle& code);
  static UnwindRule guess(const Module& module, std::uint64_t address, const WalkState& state, const StackCopy& copy,
                          const CodeOracle& code);
  const ModuleStore& modules_;
  std::unordered_map<ModuleId, std::unique_ptr<Tables>> tables_;
  std::uint64_t compiled_ = 0;
};

}  // namespace sockleak
