// All that is known of one socket that is still open (or was left open by a process that ended).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "event/event.hpp"

namespace sockleak {

/// How the socket came to be, as far as the tracker knows it.
enum class Origin : std::uint8_t { kSocket, kConnect, kAccept, kBeforeAttach };
[[nodiscard]] const char* to_string(Origin origin);  // "socket" | "connect" | "accept" | "before-attach"

/// A descriptor that referred to the socket in the last snapshot.
struct Holder {
  ProcessId process;
  Pid tid;
  std::string comm;
  Fd fd;
  bool close_on_exec = false;
};

struct SocketRecord {
  SocketId id;
  Origin origin = Origin::kSocket;
  TcpState state = TcpState::kUnknown;
  Addresses addresses;
  NetnsId netns;

  KernelTime created;            // for kBeforeAttach: when it was first seen
  Task creator;                  // pid 0 = unknown (before-attach, or not yet accepted)
  std::string comm;              // the creating thread's name
  StackId stack = kNoStack;      // creation or accept stack
  WalkEnd stack_end = WalkEnd::kNone;

  SocketId listener;             // for passive opens
  StackId listener_stack = kNoStack;
  bool unaccepted = false;       // still in its listener's accept queue

  std::optional<KernelTime> close_wait_since;

  // From the last snapshot:
  std::uint64_t inode = 0;
  std::uint64_t rx_bytes = 0;
  std::uint64_t tx_bytes = 0;
  std::uint64_t snapshot = 0;    // number of the last snapshot that found it; 0 = none did
  std::vector<Holder> holders;   // who held it then
};

}  // namespace sockleak
