// How a holder came by a socket that another process made. Receiving a descriptor is an event; inheriting one is
// inferred from the forks and execs that were seen; the rest is unknown and stays so.
#pragma once

#include "track/process_tree.hpp"
#include "track/socket_record.hpp"

namespace sockleak {

/// Whose socket it is: the creator's; of one from before we came, the first known holder's. Pid 0 = nobody's.
[[nodiscard]] ProcessId owner_of(const SocketRecord& socket);

[[nodiscard]] HandOver hand_over_to(const ProcessId& holder, const SocketRecord& socket, const ProcessTree& processes);

}  // namespace sockleak
