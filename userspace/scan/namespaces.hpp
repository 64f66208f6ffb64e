// A walk through network namespaces, and small files of /proc.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "process/network_namespaces.hpp"

namespace sockleak {

/// "the network namespaces of 3 processes could not be read (…)".
[[nodiscard]] std::string unread_processes(const char* what, std::uint64_t processes);

/// Runs `inside` in each namespace that can be entered (needs CAP_SYS_ADMIN for all but our own) and comes back.
/// The return says which could not.
[[nodiscard]] std::vector<NetnsId> visit_namespaces(const NetnsHandles& namespaces,
                                                    const std::function<void(const NetnsHandle&)>& inside);

/// The first line of a file; empty if it cannot be read.
[[nodiscard]] std::string first_line(const std::string& path);

/// The first line that begins so; empty if there is none.
[[nodiscard]] std::string line_with(const std::string& path, std::string_view beginning);

}  // namespace sockleak
