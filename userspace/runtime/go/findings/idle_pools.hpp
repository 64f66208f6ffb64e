// Connections that idle in a pool which is known by the code that waits for them: nobody has forgotten these.
#pragma once

#include "stack/stack_store.hpp"
#include "symbolize/symbolizer.hpp"
#include "track/tracker.hpp"

namespace sockleak {

/// Was this stack, when a read found nothing to read, waiting in a pool: that of Go's net/http?
[[nodiscard]] bool waits_in_pool(const Stack& stack);

/// Was the socket waited for like that when its process ended? Known of Go programs only.
[[nodiscard]] bool idles_in_pool(const SocketRecord& socket, const Tracker& tracker, const StackStore& stacks,
                                 Symbolizer& symbolizer);

}  // namespace sockleak
