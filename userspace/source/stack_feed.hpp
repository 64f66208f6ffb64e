// Turns stack records from the kernel into MappedStacks: finishes walks that lacked a rule on the stack copy that came
// with them, and installs every rule learned on the way, so that the next walk of that path stays in the kernel.
#pragma once

#include <cstddef>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/counters.hpp"
#include "base/recent_map.hpp"
#include "runtime/go/go_feed.hpp"
#include "runtime/java/java_feed.hpp"
#include "runtime/node/jit_feed.hpp"
#include "runtime/python/python_feed.hpp"
#include "source/event_source.hpp"
#include "source/memory_map_feed.hpp"
#include "source/replaced_code.hpp"
#include "stack/snapshot_unwinder.hpp"

namespace sockleak {

class StackFeed {
 public:
  /// Borrowed map descriptors of the loaded programs, and their count of times that something was taken back.
  struct Maps { int rules = -1; int seen = -1; int pythons = -1; std::uint32_t* rule_generation = nullptr; GoFeed::Maps go; };

  StackFeed(ModuleStore& modules, NamedFrames& names, AddressMap& addresses, MemoryMapFeed& feed)
      : modules_(modules), addresses_(addresses), feed_(feed), python_(modules, addresses, names),
        go_(modules, addresses), java_(modules, addresses, names), jit_(modules, addresses, names), compiler_(modules),
        unwinder_(modules, addresses, compiler_) {
    unwinder_.use({.read = [this](Pid pid, KernelTime when, std::uint64_t address, std::span<std::byte> out) {
                     // What looks like a frame pointer in HotSpot's code may be none.
                     return !java_.is_java(pid, when) && JitFeed::read_code(pid, address, out);
                   },
                   .keeps_frames = [this](Pid pid, KernelTime when) { return jit_.is_runtime(pid, when); },
                   .rule = [this](Pid pid, KernelTime when, std::uint64_t pc) { return java_.rule(pid, when, pc); }});
    known_.on_forgotten([this](std::uint64_t hash, const Known& known) { forget(hash, known); });
    feed_.on_replaced([this](Pid pid, KernelTime when, std::uint64_t start, std::uint64_t end) {
      take_back(pid, when, start, end);
    });
  }
  StackFeed(const StackFeed&) = delete;
  StackFeed& operator=(const StackFeed&) = delete;
  void use(Maps maps) {
    maps_ = maps;
    python_.use({maps.pythons, maps.seen});
    go_.use(maps.go);
  }

  /// Looks for interpreters and Go's runtime in a process of which more is mapped than before.
  void examine(AddressSpaceId asid, Pid pid, KernelTime when) {
    python_.examine(asid, pid, when);
    go_.examine(asid, pid, when);
  }
  /// This file may be executed soon.
  void expect(ModuleId program) {
    go_.expect(program);
    compiler_.prepare(program);
  }

  /// An SL_STACK_SEEN or SL_STACK_MISSED record, whose stack goes to `sink`, or one of SL_PYTHON_*.
  void on_record(std::span<const std::byte> record, RecordSink& sink);
  /// Whether the stack that an event names has arrived. A ticket is named once, and forgotten with that.
  [[nodiscard]] bool claim(StackHash hash) {
    return known_.find(hash.value) != nullptr || tickets_.erase(hash.value);
  }
  /// Tells the stacks that an event names anew if their addresses meant other code when they were told.
  void renew(std::span<const std::byte> event, RecordSink& sink);

  /// Nothing uses the address space any more: its rules and hashes make room for others.
  void forget(AddressSpaceId asid);
  /// The process runs another program or none.
  void forget(Pid pid) {
    java_.forget(pid);
    jit_.forget(pid);
    replaced_.forget(pid);
    spaces_of_.erase(pid);
    go_.forget(pid);
  }
  /// Tells where the parent of the goroutine is now, if it waits and can be read (go_parents.cpp).
  void tell_parent(const sl_socket_goroutine& made, RecordSink& sink);
  /// Opens the unwind tables of all modules known so far, so that the first stacks are quick.
  void warm_up();

  [[nodiscard]] Counters losses() const {
    Counters losses = losses_;
    losses.merge(python_.losses());
    losses.merge(go_.losses());
    losses.merge(java_.losses());
    return losses;
  }
  [[nodiscard]] std::uint64_t rules_installed() const { return rules_installed_; }

 private:
  static constexpr std::size_t kMostKnown = 1u << 17;  // twice what the kernel side remembers
  struct AddressSpace {
    std::vector<std::uint64_t> rules;   // keys
    std::unordered_set<std::uint64_t> hashes;
    KernelTime used;  // the last record from there
  };
  struct Known {
    AddressSpaceId asid;
    Pid pid;
    KernelTime when;
    RawStack raw;  // empty: not of addresses alone
  };
  void learn(AddressSpaceId asid, std::uint64_t pc, const UnwindRule& rule);
  AddressSpace* space_of(AddressSpaceId asid, Pid pid, KernelTime when);
  void drop_rules(AddressSpace& space);
  bool make_room_for_rules(AddressSpaceId asid);
  void forget(std::uint64_t hash, const Known& known);
  void renew(StackHash hash, Pid pid, KernelTime when, RecordSink& sink);
  void take_back(Pid pid, KernelTime when, std::uint64_t start, std::uint64_t end);
  MappedStack place(Pid pid, KernelTime when, const RawStack& raw);
  std::optional<MappedFrame> runtime_frame(Pid pid, KernelTime when, const RawStack& raw, std::size_t index, bool& doubtful);
  void cut_where_doubtful(Pid pid, KernelTime when, const RawStack& raw, MappedStack& placed);

  ModuleStore& modules_;
  AddressMap& addresses_;
  MemoryMapFeed& feed_;
  PythonFeed python_;
  GoFeed go_;
  JavaFeed java_;
  JitFeed jit_;
  RuleCompiler compiler_;
  SnapshotUnwinder unwinder_;
  Maps maps_;
  std::unordered_map<AddressSpaceId, AddressSpace> spaces_;
  std::unordered_map<Pid, AddressSpaceId> spaces_of_;
  std::unordered_map<std::uint64_t, UnwindRule> installed_;
  RecentMap<AddressSpaceId, bool> ended_{8192};  // records from there may still come
  RecentMap<std::uint64_t, Known> known_{kMostKnown};
  ReplacedCode replaced_;
  RecentMap<std::uint64_t, bool> tickets_{65536};  // arrived, not yet named by an event
  RecentMap<std::uint64_t, bool> parent_stacks_{16384};
  std::uint64_t rules_installed_ = 0;
  Counters losses_;
};

}  // namespace sockleak
