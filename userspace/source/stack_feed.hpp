// Turns stack records from the kernel into MappedStacks: finishes walks that lacked a rule on the stack copy that came
// with them, and installs every rule learned on the way, so that the next walk of that path stays in the kernel.
#pragma once

#include <cstddef>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/counters.hpp"
#include "source/event_source.hpp"
#include "source/memory_map_feed.hpp"
#include "stack/snapshot_unwinder.hpp"

namespace sockleak {

class StackFeed {
 public:
  /// Borrowed map descriptors of the loaded programs, and their count of times that something was taken back.
  struct Maps { int rules = -1; int seen = -1; std::uint32_t* rule_generation = nullptr; };

  StackFeed(ModuleStore& modules, AddressMap& addresses, MemoryMapFeed& feed)
      : modules_(modules), addresses_(addresses), feed_(feed), compiler_(modules),
        unwinder_(modules, addresses, compiler_) {}
  void use(Maps maps) { maps_ = maps; }

  /// An SL_STACK_SEEN or SL_STACK_MISSED record; the stack goes to `sink`.
  void on_record(std::span<const std::byte> record, RecordSink& sink);
  /// Whether the stack that an event names has arrived. A ticket is named once, and forgotten with that.
  [[nodiscard]] bool claim(StackHash hash) { return known_.contains(hash.value) || tickets_.erase(hash.value) > 0; }

  /// Nothing uses the address space any more: its rules and hashes make room for others.
  void forget(AddressSpaceId asid);
  /// Opens the unwind tables of all modules known so far, so that the first stacks are quick.
  void warm_up();

  [[nodiscard]] Counters losses() const { return losses_; }
  [[nodiscard]] std::uint64_t rules_installed() const { return rules_installed_; }

 private:
  struct AddressSpace {
    std::vector<std::uint64_t> rules;   // keys
    std::vector<std::uint64_t> hashes;
  };
  void learn(AddressSpaceId asid, std::uint64_t pc, const UnwindRule& rule);
  MappedStack place(Pid pid, KernelTime when, const RawStack& raw);

  ModuleStore& modules_;
  AddressMap& addresses_;
  MemoryMapFeed& feed_;
  RuleCompiler compiler_;
  SnapshotUnwinder unwinder_;
  Maps maps_;
  std::unordered_map<AddressSpaceId, AddressSpace> spaces_;
  std::unordered_set<std::uint64_t> installed_;
  std::unordered_set<std::uint64_t> known_;
  std::unordered_set<std::uint64_t> tickets_;  // arrived, not yet named by an event
  std::uint64_t rules_installed_ = 0;
  Counters losses_;
};

}  // namespace sockleak
