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

/// Sites with a connection whose peer has closed and that waits for its close() for `patience` or longer, whose lowest
/// number of open sockets has risen in two windows in a row, or with several that have been open for seconds.
[[nodiscard]] std::vector<Suspicion> suspicions(const Tracker& tracker, KernelTime now, Duration patience);

/// Whether some site has so many sockets open for so long that it is worth knowing how often they are used. Not the only
/// ones of their kind, as a single connection kept for life is, nor listeners.
[[nodiscard]] bool keeps_sockets(const Tracker& tracker, KernelTime now);

}  // namespace sockleak
