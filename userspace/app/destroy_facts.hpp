// What a look knows of a socket, as the plan of `destroy` needs it.
#pragma once

#include <vector>

#include "act/socket_facts.hpp"
#include "scan/snapshot.hpp"

namespace sockleak {

/// Of all sockets of a snapshot whose causes were found, those with these indices.
[[nodiscard]] std::vector<act::SocketFacts> facts_of(const Snapshot& snapshot, const std::vector<std::size_t>& indices);

}  // namespace sockleak
