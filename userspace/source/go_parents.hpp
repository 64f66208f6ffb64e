// Go programs that keep no ancestors: where the parent of a goroutine that made a socket is when that is heard of. It waits
// somewhere then, or nothing is said: a stack that changes while it is copied is none.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "source/stack_feed.hpp"

namespace sockleak {

/// The stack of a goroutine that waits.
struct ParkedGoroutine {
  std::uint64_t pc = 0, sp = 0, bp = 0;
  std::vector<std::byte> bytes;  // from sp on
};

/// Looks for it in the living process; nullopt: it is gone, runs, or could not be read.
[[nodiscard]] std::optional<ParkedGoroutine> find_parked(Pid pid, const GoFeed::Living& living, std::uint64_t goid);

class GoParents {
 public:
  explicit GoParents(StackFeed& stacks) : stacks_(stacks) {}

  /// Passes every record on, and what is told after it.
  void deliver(std::span<const std::byte> record, RecordSink& sink);
  /// Nothing more is there for now.
  void pause(RecordSink& sink);

 private:
  static constexpr unsigned kLooks = 16;  // between two pauses: a look reads the ids of all goroutines
  void look(RecordSink& sink);

  StackFeed& stacks_;
  std::optional<sl_socket_goroutine> pending_;  // its ancestors may follow
  std::set<Pid> exact_;                         // programs that keep ancestors
  unsigned looks_ = 0;
};

}  // namespace sockleak
