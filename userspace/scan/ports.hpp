// How many ephemeral ports are left towards each destination. As the kernel decides (net/ipv4/inet_hashtables.c,
// __inet_hash_connect): a port that anybody got by bind() or listen() is lost for every connect(); one that was made
// by connect() is lost only for the same (source address, destination, port), unless it is a TIME_WAIT that may be
// reused.
#pragma once

#include <map>
#include <optional>

#include "scan/snapshot.hpp"

namespace sockleak {

struct PortUse {
  Endpoint local;   // without port
  Endpoint remote;  // bind(): empty
  std::size_t used = 0;       // blocked for this destination, those blocked for everybody included
  std::size_t time_wait = 0;  // of them, not reusable yet
  std::size_t leaked = 0;     // of them, in CLOSE_WAIT or ownerless
  std::optional<double> seconds_left;  // until exhaustion, from two snapshots
};

struct BlockedPort {
  std::uint16_t port = 0;
  bool listening = false;
  std::string by;  // "orders (812)", empty = nobody in particular
};

struct PortReport {
  NetnsId netns;
  std::string name;  // of the namespace; empty = our own
  std::uint16_t first = 0, last = 0;
  std::size_t range = 0;  // reserved ones excluded
  std::vector<BlockedPort> blocked;  // for everybody, by port
  std::vector<PortUse> destinations;  // most used first
  std::vector<PortUse> binds;         // per source address, for bind(address, 0); only where somebody does that
  [[nodiscard]] double percent(std::size_t used) const {
    return range == 0 ? 100.0 : 100.0 * static_cast<double>(used) / static_cast<double>(range);
  }
};

/// ::ffff:a.b.c.d occupies what a.b.c.d does.
[[nodiscard]] Endpoint unmapped(Endpoint endpoint);

[[nodiscard]] std::vector<PortReport> measure_ports(const Snapshot& snapshot);

/// Fills seconds_left from the growth since `earlier`, `apart` ago.
void estimate_exhaustion(std::vector<PortReport>& now, const std::vector<PortReport>& earlier, Duration apart);

}  // namespace sockleak
