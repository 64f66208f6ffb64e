// Which module lies where in which process at which time. Fed by /proc/PID/maps at attach and by memory-map events
// afterwards; survives exec and exit because stacks may be resolved a little later than they were taken.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/time.hpp"
#include "stack/module_store.hpp"

namespace sockleak {

struct Mapping {
  std::uint64_t start = 0, end = 0;  // executable address range
  std::uint64_t offset = 0;          // file offset of start
  ModuleId module;
};

class AddressMap {
 public:
  /// From `since` on, [mapping.start, end) of the process is this mapping; older ones it overlaps are cut then. True if
  /// one of these was of another module.
  bool map(Pid pid, KernelTime since, Mapping mapping);
  /// A new program image: nothing mapped before `since` is valid any more.
  void exec(Pid pid, KernelTime since);
  /// The child starts with the parent's mappings.
  void fork(Pid parent, Pid child, KernelTime since);
  /// The process is gone; its mappings are kept until `forget_before`.
  void exit(Pid pid, KernelTime at);
  void forget_before(KernelTime time);
  [[nodiscard]] bool knows(Pid pid) const { return processes_.contains(pid); }

  /// The mapping that covered `address` at `when`, or nullptr. Valid until the map is changed.
  [[nodiscard]] const Mapping* find(Pid pid, KernelTime when, std::uint64_t address) const;

  /// All mappings that were valid at `when`.
  [[nodiscard]] std::vector<Mapping> mappings(Pid pid, KernelTime when) const;
  /// Grows whenever something was mapped; 0 = the process is not known.
  [[nodiscard]] std::uint64_t changes(Pid pid) const;

  /// Mappings held, and mappings refused or given up because a cap was reached.
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

  static constexpr std::size_t kMaxMappings = 1u << 20;            // 56 bytes each: 10 000 processes of 100 libraries
  static constexpr std::size_t kMaxMappingsPerProcess = 1u << 12;  // find() is linear; browsers and JVMs have < 1 000

 private:
  struct Timed {
    KernelTime since, until;
    Mapping mapping;
    bool inherited;  // from the parent at fork
  };
  struct Process {
    std::vector<Timed> mappings;
    KernelTime exited{};  // 0 = lives
    KernelTime image{};   // when it last called exec
    std::uint64_t changes = 1;
  };
  static void end_all(std::vector<Timed>& mappings, KernelTime at);
  bool make_room();
  void make_room_in(Process& process, KernelTime now);
  std::map<Pid, Process> processes_;
  std::size_t size_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace sockleak
