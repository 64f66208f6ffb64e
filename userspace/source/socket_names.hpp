// Cookies for sockets that have none yet. The kernel makes a socket's cookie when it is first asked for; where tracing
// programs cannot ask (before Linux 5.12), we do, through a duplicate of the descriptor.
#pragma once

#include "base/ids.hpp"

namespace sockleak {

/// Makes sure that every socket the process holds has a cookie. Needs the right to trace the process.
void name_sockets(Pid pid);

}  // namespace sockleak
