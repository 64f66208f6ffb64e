// Opened beside idle ones. A pool opens a connection when all that it has to that peer are busy; a program that forgets its
// sockets opens the next one although idle ones are there. No threshold of age or number decides, but what the program did
// while the socket lay idle. The exemptions and the first thresholds come from 151 measured programs; tests/corpus fits them.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "judge/siblings.hpp"

namespace sockleak {

struct PassingOptions {
  Duration usable_after = std::chrono::milliseconds(300);  // idle for so long, a socket could have been taken again
  Duration birth_age = std::chrono::seconds(3);            // a younger sibling may still be about to be given back
  Duration shortest_session = std::chrono::seconds(20);    // of a program that lives on; before that nothing is sure
  double saturation = 15;  // expected further abandonments at the first pace, without which a pool has its size
};

/// What the siblings of one process, to one peer, show.
struct PassedOver {
  enum class Says : std::uint8_t { kNothing, kPool, kSaturated, kSuspect, kLeak };
  Says says = Says::kNothing;
  std::vector<const Life*> idle;    // those that were passed over and never used again; oldest first
  std::uint64_t births = 0;         // that came while the first of them was idle
  std::uint64_t reused = 0;         // siblings that were passed over, and then used again or reaped
  std::size_t peak = 0;             // the most that were ever in use together
  bool short_session = false;
};

/// Everything that was born while we watched, by process and peer: it passes over sockets from before, too.
class Births {
 public:
  explicit Births(const std::vector<Siblings>& all);
  struct Birth {
    KernelTime born, used, until;
    Duration longest_gap{};
    Pid creator;
    bool closed = false;
  };
  /// nullptr: none.
  [[nodiscard]] const std::vector<Birth>* of(const ProcessId& process, std::uint32_t peer) const;

 private:
  std::map<std::pair<ProcessId, std::uint32_t>, std::vector<Birth>> births_;
};

/// One entry per process and peer that has any, in the order of their first socket.
[[nodiscard]] std::vector<PassedOver> passed_over(const Siblings& siblings, const Births& births, const Tracker& tracker,
                                                  KernelTime now, Duration older, const PassingOptions& options = {});

/// "36 idle ones were passed over by 25 later sockets, 2 were used again".
[[nodiscard]] std::string describe(const PassedOver& passed);

}  // namespace sockleak
