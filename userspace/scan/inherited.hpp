// Listeners that a program keeps which has not opened them and waits for no connection: usually one that a server has started,
// and that outlives it. The port cannot be bound again.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "scan/snapshot.hpp"

namespace sockleak {

/// Whose process it is; nothing if it has ended.
using UidOf = std::function<std::optional<std::uint32_t>(Pid)>;

/// Proven of each: the credentials with which it was opened are those of no process any more, nor of a kind that its holder
/// has given up; each holder has executed a program since it was forked, and kept the descriptor for lack of close-on-exec;
/// nobody waits on it, neither asleep nor through epoll. One look is not enough: a server may be busy.
[[nodiscard]] std::vector<SocketId> inherited_listeners(const Snapshot& snapshot, const UidOf& uid_of);

/// As /proc says.
[[nodiscard]] std::optional<std::uint32_t> uid_of_process(Pid pid);

}  // namespace sockleak
