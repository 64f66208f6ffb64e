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
  /// From `since` on, [mapping.start, end) of the process is this mapping; older ones it overlaps are cut then.
  void map(Pid pid, KernelTime since, Mapping mapping);
  /// A new program image: nothing mapped before `since` is valid any more.
  void exec(Pid pid, KernelTime since);
  /// The child starts with the parent's mappings.
  void fork(Pid parent, Pid child, KernelTime since);
  /// The process is gone; its mappings are kept until `forget_before`.
  void exit(Pid pid, KernelTime at);
  void forget_before(KernelTime time);
  [[nodiscard]] bool knows(Pid pid) const { return processes_.contains(pid); }

  /// The mapping that covered `address` at `when`, or nullptr.
  [[nodiscard]] const Mapping* find(Pid pid, KernelTime when, std::uint64_t address) const;

 private:
  struct Timed { KernelTime since, until; Mapping mapping; };
  struct Process { std::vector<Timed> mappings; KernelTime exited{}; };
  std::map<Pid, Process> processes_;
};

}  // namespace sockleak
