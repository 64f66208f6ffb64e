// A rule looks at one site and accuses some of its sockets. Rules never act on events: a socket is accused only if
// the last complete snapshot still found it open, or its process has ended.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "judge/finding.hpp"
#include "track/tracker.hpp"

namespace sockleak {

struct JudgeOptions {
  Duration older = std::chrono::seconds(10);  // how long a peer's FIN may stay unanswered, a connection unaccepted ...
  std::size_t growth_windows = 4;             // growth: windows in a row that must rise
  bool at_exit = false;                       // open-at-exit: judge what processes left open at their end
  double leak_confidence = 0.8;               // from here on a suspect is called a leak
};

/// Whether a socket is known to idle in a pool, whose way it is to end with its process.
using IsPooled = std::function<bool(const SocketRecord&)>;

/// One site as the rules see it. Everything is borrowed for the call.
struct SiteView {
  const SiteKey& key;
  const Site& site;
  const std::vector<const SocketRecord*>& open;     // confirmed by the last snapshot, oldest first
  const std::vector<const SocketRecord*>& waiting;  // likewise, in the accept queues of the site's listeners
  const Tracker& tracker;
  KernelTime now;
  const IsPooled& is_pooled;
};

/// The number of live sockets did not rise in the last windows.
[[nodiscard]] bool is_plateau(const SiteView& view);

struct Accusation {
  Evidence evidence;
  std::vector<const SocketRecord*> sockets;  // which ones; oldest first
  std::uint64_t count = 0;                   // how many, if more than could be kept
};

class Rule {
 public:
  virtual ~Rule() = default;
  [[nodiscard]] virtual std::optional<Accusation> inspect(const SiteView& site, const JudgeOptions& options) const = 0;
};

std::unique_ptr<Rule> make_close_wait_rule();
std::unique_ptr<Rule> make_open_at_exit_rule();
std::unique_ptr<Rule> make_growth_rule();
std::unique_ptr<Rule> make_invisible_rule();
std::unique_ptr<Rule> make_outlived_creator_rule();
std::unique_ptr<Rule> make_unaccepted_rule();

}  // namespace sockleak
