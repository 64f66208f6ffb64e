// Unix sockets that programs keep for as long as they live: the connection to the system's log or to a bus, the pair that
// wakes a loop. Left open at the end, they are no leaks.
#pragma once

#include "judge/rule.hpp"

namespace sockleak {

/// Connected to a service of the system, as libraries do once per process.
[[nodiscard]] bool serves_the_process(const SocketRecord& socket, const Tracker& tracker);

/// That so many unix sockets of one site were left open is a mistake.
[[nodiscard]] double lasting_confidence(std::uint64_t left, bool siblings_closed);

}  // namespace sockleak
