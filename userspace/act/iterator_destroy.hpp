// Destroying through bpf_sock_destroy (Linux 6.5): by cookie, whatever else is at the same address. Needs CAP_BPF and
// CAP_PERFMON beside CAP_NET_ADMIN.
#pragma once

#include <span>
#include <vector>

#include "act/socket_facts.hpp"
#include "base/result.hpp"

namespace sockleak::act {

/// The network namespace that this thread is in. The kernel's answer for each, in order: 0, or an errno (ENOENT: it is
/// not there, ESTALE: it listens by now). An error if this kernel or these privileges do not allow it.
[[nodiscard]] Result<std::vector<int>> destroy_through_iterators(std::span<const SocketFacts* const> sockets);

}  // namespace sockleak::act
