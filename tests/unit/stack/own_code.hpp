// Functions of this test program whose unwind tables are written by hand, one for each thing a table can say. They
// are never run: only their addresses and tables are of interest.
#pragma once

#include <cstdint>
#include <set>

#include "stack/snapshot_unwinder.hpp"

extern "C" {
// Each label is a return address, right behind a call instruction, inside the function it is named for.
extern const char sl_sp_frame[];          // CFA = sp + 48, bp at CFA - 32
extern const char sl_sp_frame_bp_kept[];  // CFA = sp + 16
extern const char sl_bp_frame[];          // CFA = bp + 16, bp at CFA - 16
extern const char sl_realigned[];         // CFA = *(bp - 8), bp at *bp
extern const char sl_sp_deref[];          // CFA = *(sp + 24)
extern const char sl_outermost[];         // return address undefined
extern const char sl_signal[];            // signal frame; registers in the ucontext
extern const char sl_other_cfa[];         // CFA = rbx + 32
extern const char sl_other_return[];      // return address at CFA - 24
extern const char sl_far_bp[];            // bp at CFA - 40000
extern const char sl_bp_in_register[];    // bp in rbx
extern const char sl_last_call[];         // end of its function: the table at this address is another one
extern const char sl_bare[];              // no table
extern const char sl_bare_syscall[];      // no table, behind a syscall instruction
extern const char sl_bare_signal[];       // no table, mov $15, %rax; syscall
extern const char sl_no_call[];           // has a table (CFA = sp + 16) but no call before it
}

namespace sockleak {

inline std::uint64_t address_of(const char* label) {
  return reinterpret_cast<std::uint64_t>(label);
}

/// This process as a traced one: its modules and mappings under pid 1 from time 0 on.
struct OwnProcess {
  OwnProcess();
  static constexpr Pid kPid{1};
  static constexpr KernelTime kNow{1000};
  /// File virtual address of a label.
  [[nodiscard]] std::uint64_t file_address(const char* label) const;

  ModuleStore modules;
  AddressMap addresses;
  RuleCompiler compiler{modules};
  SnapshotUnwinder unwinder{modules, addresses, compiler};
  ModuleId program;
};

/// Says what it was told to say.
class ToldCode final : public CodeOracle {
 public:
  explicit ToldCode(std::set<std::uint64_t> return_addresses = {}) : known_(std::move(return_addresses)) {}
  [[nodiscard]] bool is_code(std::uint64_t address) const override { return known_.contains(address); }
  [[nodiscard]] bool follows_call(std::uint64_t address) const override { return known_.contains(address); }

 private:
  std::set<std::uint64_t> known_;
};

}  // namespace sockleak
