// One socket as `destroy` has to know it before it touches it: what names it in the kernel, who would notice, and why
// it is still there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "event/cause.hpp"
#include "event/event.hpp"

namespace sockleak::act {

/// Who keeps the socket.
struct SocketHolder {
  Via via = Via::kDescriptor;
  Pid pid;  // 0 = nobody in particular
  Pid tid;
  Fd fd;  // or the slot, or the place in a message; -1 = none
  std::string comm;
};

struct SocketFacts {
  SocketId id;  // the cookie: unique per boot, unlike ports, inodes and addresses
  NetnsId netns;
  Addresses addresses;
  TcpState state = TcpState::kUnknown;  // of UDP sockets: ESTABLISHED = connected, CLOSE = bound
  std::uint32_t interface = 0;
  std::uint64_t inode = 0;  // 0 = no process has a file for it
  bool mptcp = false;       // one path of an MPTCP connection: made by the kernel

  Cause cause = Cause::kUnknown;  // kNone = a descriptor holds it
  std::vector<SocketHolder> holders;  // of one that waits to be accepted: the listener's
};

[[nodiscard]] bool is_listener(const SocketFacts& socket);

/// By a descriptor, also one of a thread that `ss` does not look at.
[[nodiscard]] bool is_held(const SocketFacts& socket);

/// The cause in one word; beside those of `scan` "held" and "listener".
[[nodiscard]] const char* cause_word(const SocketFacts& socket);

/// "tcp 10.0.0.1:41000 -> 10.0.0.9:5432".
[[nodiscard]] std::string to_string(const SocketFacts& socket);

}  // namespace sockleak::act
