// Which sites deserve a closer look while we watch: cheap signs, long before anything is accused.
#pragma once

#include <map>
#include <vector>

#include "track/tracker.hpp"

namespace sockleak {

struct Suspicion {
  SiteKey site;
  std::vector<SocketId> open;  // its sockets, at most kSuspectedSockets
};
inline constexpr std::size_t kSuspectedSockets = 4096;

/// Sites with a connection whose peer has closed and that waits for its close() for `patience` or longer, or whose lowest
/// number of open sockets has risen in two windows in a row.
[[nodiscard]] std::vector<Suspicion> suspicions(const Tracker& tracker, KernelTime now, Duration patience);

}  // namespace sockleak
