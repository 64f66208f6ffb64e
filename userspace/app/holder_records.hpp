// What a look beyond descriptors (scan/) says of the sockets that a tracker knows, as records for its stream: so a
// recording repeats it, though scan's own records are never stored.
#pragma once

#include <vector>

#include "scan/snapshot.hpp"
#include "source/event_source.hpp"
#include "track/tracker.hpp"

namespace sockleak {

/// Tracked sockets of which the look must be repeated before it is believed.
[[nodiscard]] std::vector<SocketId> doubtful_sockets(const Snapshot& look, const Tracker& tracker);

/// Causes, holders that have no descriptor, queues of listeners, and processes near their limit of descriptors.
void tell_holders(const Snapshot& look, const Tracker& tracker, KernelTime now, RecordSink& sink);

}  // namespace sockleak
