// Whether this kernel lets a destroyed orphan go. Kernels without Linux commit bac76cf89816 purge its write queue and
// keep the socket, whose timers then find nothing to do: it stays until the next boot. Tried, not looked up.
#pragma once

#include "base/result.hpp"

namespace sockleak::act {

/// Makes an orphan in a network namespace of its own (in a child process), destroys it and looks. An error if that
/// could not be done. Leaves nothing behind, whatever the kernel does: in the end the peer resets the connection.
[[nodiscard]] Result<bool> orphans_die();

}  // namespace sockleak::act
