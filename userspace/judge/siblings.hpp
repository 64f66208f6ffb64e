// Siblings: all sockets of one kind that the same place in the program made, whichever callers it had and however its code
// was compiled at the time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "judge/life.hpp"

namespace sockleak {

/// What names tell of a creation stack. Numbers mean nothing by themselves.
struct StackNames {
  std::uint64_t place = 0;  // the innermost frames of the program: the same place, whoever calls it
  std::uint64_t path = 0;   // all frames of the program: the same way there, however it was compiled
};
using NamesOf = std::function<StackNames(const SiteKey&)>;
/// Without names every stack is a place of its own.
[[nodiscard]] StackNames unnamed(const SiteKey& key);

/// How sockets came to be, as far as it matters to who is whose sibling.
enum class Role : std::uint8_t { kConnector, kAccepted, kPair, kListener, kBeforeConnected, kBeforeAccepted };

struct SiblingsKey {
  std::uint64_t place = 0;
  Role role = Role::kConnector;
  Protocol protocol = Protocol::kNone;
  std::uint32_t peer = 0;                // of sockets from before the attach, whose place nobody knows
  TcpState state = TcpState::kUnknown;   // likewise
  friend auto operator<=>(const SiblingsKey&, const SiblingsKey&) = default;
};

/// Sockets of one kind that came the same way: what one finding is about.
struct PathGroup {
  SiteKey site;                    // the one of its sites that made most
  std::vector<const Site*> sites;  // several where code was compiled anew
  std::vector<SiteKey> keys;       // of these
  std::vector<const SocketRecord*> open;     // confirmed by the last snapshot, oldest first
  std::vector<const SocketRecord*> waiting;  // likewise, in the accept queues of its listeners
};

struct Siblings {
  SiblingsKey key;
  std::map<std::uint64_t, PathGroup> paths;  // by StackNames::path
  std::vector<Life> open;   // confirmed by the last snapshot, oldest first, listeners not
  std::vector<Life> open_listeners;
  std::vector<Life> listeners;  // left to the end of their process
  std::vector<Life> ended;  // left to the end of their process, or closed in its last moments; by their ends
  std::vector<GoneSocket> gone;  // those that were closed in the ordinary way, a sample; by their ends
  double gone_weight = 1;        // how many each stands for

  [[nodiscard]] std::uint64_t created() const;
};

/// `at_exit`: also what was left open at the end of a process.
[[nodiscard]] std::vector<Siblings> all_siblings(const Tracker& tracker, KernelTime now, bool at_exit, const NamesOf& names);

/// The path that a socket of the family came by.
[[nodiscard]] std::uint64_t path_of(const SocketRecord& socket, const NamesOf& names);

}  // namespace sockleak
