// The Go side of sockets: finds programs made by Go among the traced processes and tells the kernel side where their
// runtime keeps the goroutine that runs.
#pragma once

#include <optional>
#include <unordered_map>

#include "base/counters.hpp"
#include "runtime/go/go_runtime.hpp"
#include "stack/address_map.hpp"
#include "stack/go_table.hpp"
#include "stack/stack.hpp"

namespace sockleak {

class GoFeed {
 public:
  /// Borrowed map descriptors of the loaded programs.
  struct Maps { int gos = -1; int files = -1; };

  GoFeed(const ModuleStore& modules, const AddressMap& addresses) : modules_(modules), addresses_(addresses) {}
  void use(Maps maps) { maps_ = maps; }

  /// This file may be executed soon: what it does first is not missed then.
  void expect(ModuleId program);
  /// Looks for Go in what the process maps, if that has changed since the last time.
  void examine(AddressSpaceId asid, Pid pid, KernelTime when);
  /// Where a living process has the list of its goroutines, as far as its symbols tell.
  struct Living { sl_go go; std::uint64_t allgs; };
  [[nodiscard]] std::optional<Living> living(Pid pid);
  /// Takes the program counters of inlined calls out of a stack that the program itself has listed: the symbolizer finds
  /// them by itself.
  void leave_out_inlined(MappedStack& stack);
  /// Nothing uses the address space any more.
  void forget(AddressSpaceId asid);
  /// The process runs another program or none.
  void forget(Pid pid) { placed_.erase(pid); }

  [[nodiscard]] Counters losses() const { return losses_; }

 private:
  struct Program {
    std::optional<sl_go> go;
    std::optional<GoTable> table;  // opened when it is needed
    std::optional<std::uint64_t> allgs;  // in the file, looked for when it is needed; 0 = no symbol says it
  };
  Program& program(ModuleId module);

  const ModuleStore& modules_;
  const AddressMap& addresses_;
  Maps maps_;
  std::unordered_map<ModuleId, Program> programs_;
  std::unordered_map<AddressSpaceId, std::uint64_t> examined_;  // AddressMap::changes() then; ~0: found
  struct Placed { ModuleId module; std::uint64_t bias; };
  std::unordered_map<Pid, Placed> placed_;
  Counters losses_;
};

}  // namespace sockleak
