// Whether we are in the host's own namespaces: what BPF programs and iterators say is said in terms of those.
#pragma once

namespace sockleak {

/// Numbers of processes are the kernel's own, and all processes can be seen.
[[nodiscard]] bool in_initial_pid_namespace();

/// Capabilities are those that loading BPF programs asks for.
[[nodiscard]] bool in_initial_user_namespace();

}  // namespace sockleak
