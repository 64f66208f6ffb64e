// Whose sockets are watched.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/ids.hpp"

namespace sockleak {

struct Scope {
  enum class Kind : std::uint8_t {
    kProcesses,  // of those that are named, and of their children
    kCgroup,     // of whoever is in a cgroup2 group or below it
    kAll,        // of everybody but us
  };
  Kind kind = Kind::kProcesses;
  std::uint64_t cgroup = 0;  // kCgroup: its id, the inode of its directory
  std::uint32_t level = 0;   // how deep it lies below the root
  /// Who is meant at the moment, if that is not a fixed list. Asked when attaching, and again while the session lasts.
  std::function<std::vector<Pid>()> members;
};

}  // namespace sockleak
