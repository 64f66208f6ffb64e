// What libdw itself, with all registers and every DWARF expression, makes of the same bytes.
#pragma once

#include <elfutils/libdwfl.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "base/handle.hpp"
#include "unit/stack/traced_program.hpp"

namespace sockleak {

struct OracleWalk {
  std::vector<std::uint64_t> frames;  // [0] = the snapshot's pc
  bool complete = false;              // false: libdw gave up
};

class DwflOracle {
 public:
  /// Knows the modules that the process has mapped now.
  explicit DwflOracle(pid_t pid);
  OracleWalk walk(const StackSnapshot& snapshot);

  // For libdwfl's callbacks.
  pid_t pid_;
  const StackSnapshot* current_ = nullptr;

 private:
  CPtr<Dwfl, &dwfl_end> dwfl_;
  bool attached_ = false;
};

}  // namespace sockleak
