// The holder's own file, borrowed through pidfd_getfd: for sockets that SOCK_DESTROY cannot reach, for an end in order,
// and to make sure that a process holds the very socket that is meant.
#pragma once

#include "act/socket_facts.hpp"
#include "base/handle.hpp"

namespace sockleak::act {

/// A duplicate of one of its holders' descriptors whose cookie is the socket's. Invalid with errno: ENOENT if no holder
/// has it any more, EPERM if we may not look.
[[nodiscard]] UniqueFd borrow(const SocketFacts& socket);

/// shutdown(SHUT_RDWR). 0 or an errno.
[[nodiscard]] int shut_down(const SocketFacts& socket);

}  // namespace sockleak::act
