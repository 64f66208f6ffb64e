// Who we are: sockleak, the processes it was started from, and the connections they were logged in through. Destroying
// those would cut the branch the user sits on.
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "event/event.hpp"

namespace sockleak::act {

struct Own {
  std::vector<Pid> processes;
  std::vector<Addresses> login;
};

/// Walks up from `self` to, but not including, process 1. SSH_CONNECTION is looked for on the way, because sudo drops
/// it and tmux outlives it. In tmux or screen also from every terminal that may look at it.
[[nodiscard]] Own find_own(const std::filesystem::path& proc, Pid self);

/// "203.0.113.7 51000 10.0.0.1 22": where from, where to (ssh(1)).
[[nodiscard]] std::optional<Addresses> parse_ssh_connection(std::string_view text);

}  // namespace sockleak::act
