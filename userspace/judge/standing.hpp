// What can be said of one open socket by itself, before its siblings are asked: verdicts.md of the design calls it the
// order of judgement. Most sockets are simply in use or idle; some have nothing before them any more but close().
#pragma once

#include "judge/life.hpp"

namespace sockleak {

enum class Standing : std::uint8_t {
  kIdle,            // usable, and nothing more can be said: its siblings must tell
  kInUse,           // used a moment ago, or somebody waits for what comes
  kFinished,        // the peer has closed, and the program knows or nobody will ever look
  kHungUp,          // the peer has closed, and whoever keeps it may find out at its next use
  kBroken,          // reset after it was connected
  kRefused,         // never became a connection
  kNeverConnected,  // made, and nothing was ever done with it
  kGivenUp,         // still trying to connect, and nobody waits for that
  kUnread,          // an answer that nobody reads
  kUnserved,        // accepted, and a request in it that nobody reads
};

/// `older`: how long nobody may have cared for one that is open; one that the end of its process closed has no future.
[[nodiscard]] Standing standing_of(const Life& life, Duration older);

/// Whether somebody sleeps until something happens to this very socket, so that it is not forgotten. An epoll entry proves
/// that of accepted sockets only: runtimes leave those of forgotten connections where they are.
[[nodiscard]] bool is_waited_for(const Life& life);

/// Only close() is left to do.
[[nodiscard]] bool is_terminal(Standing standing);

}  // namespace sockleak
