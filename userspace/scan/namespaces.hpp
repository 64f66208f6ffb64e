// Which network namespaces there are, a way into each, and the kernel settings that differ between them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/handle.hpp"
#include "scan/snapshot.hpp"

namespace sockleak {

struct NamespaceDoor {
  NetnsId id;
  UniqueFd fd;  // invalid for our own
  bool own = false;
};

/// "the network namespaces of 3 processes could not be read (…)".
[[nodiscard]] std::string unread_processes(const char* what, std::uint64_t processes);

/// Our own first, then those of every process that can be looked at and of /run/netns. `unreadable` counts processes
/// whose namespace could not be read. Empty if there is no /proc.
[[nodiscard]] std::vector<NamespaceDoor> find_namespaces(std::uint64_t& unreadable);

/// Runs `inside` in each namespace that can be entered (needs CAP_SYS_ADMIN for all but our own) and comes back.
/// The return says which could not.
[[nodiscard]] std::vector<NetnsId> visit_namespaces(const std::vector<NamespaceDoor>& doors,
                                                    const std::function<void(NetnsId)>& inside);

/// Port range, reuse of TIME_WAIT and the other settings, of the namespace this thread is in.
[[nodiscard]] NetworkNamespace read_settings(NetnsId id);

/// The first line of a file; empty if it cannot be read.
[[nodiscard]] std::string first_line(const std::string& path);

}  // namespace sockleak
