// A rule looks at all siblings of one kind and charges some of them. Rules never act on events: a socket is charged only if
// the last complete snapshot still found it open, or its process has ended.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "judge/finding.hpp"
#include "judge/passed_over.hpp"
#include "judge/siblings.hpp"
#include "judge/survivors.hpp"

namespace sockleak {

struct JudgeOptions {
  Duration older = std::chrono::seconds(10);  // how long a peer's FIN may stay unanswered, a connection unaccepted ...
  std::size_t growth_windows = 4;             // growth: windows in a row that must rise
  bool at_exit = false;                       // judge what processes left open at their end, and closed in their last moments
  double leak_confidence = 0.8;               // from here on a suspect is called a leak
};

/// Who tidied up what nobody closed.
enum class Reclaimer : std::uint8_t { kNone, kCollector, kInterpretersEnd };

/// What only names can tell; the app asks them of the stacks. Each has a default for when there are no names.
struct JudgeNames {
  NamesOf of_stack = unnamed;
  /// Whether a socket is known to idle in a pool, whose way it is to end with its process.
  std::function<bool(const SocketRecord&)> is_pooled = [](const SocketRecord&) { return false; };
  /// Whether a pool may keep it that takes back whatever it is given.
  std::function<bool(const SocketRecord&)> is_kept_by_pool = [](const SocketRecord&) { return false; };
  /// Whether this stack opens connections for a library's pool.
  std::function<bool(StackId)> opens_for_pool = [](StackId) { return false; };
  /// Whether a socket made there is furniture of a runtime: its own wake-up, its resolver's.
  std::function<bool(StackId)> is_furniture = [](StackId) { return false; };
  /// Of a closing stack.
  std::function<Reclaimer(StackId)> reclaimer = [](StackId) { return Reclaimer::kNone; };
};

/// Siblings as the rules see them, with what several rules ask. Everything is borrowed for the call.
struct SiblingsView {
  const Siblings& siblings;
  const std::vector<PassedOver>& passed_over;
  const Survivors& survivors;
  const Tracker& tracker;
  KernelTime now;
  const JudgeNames& names;
};

using Lives = std::vector<const Life*>;

struct Charge {
  std::string rule;
  double confidence = 0;   // 0..1, of this rule alone
  Lives lives;             // which ones; oldest first
  std::uint64_t more = 0;  // as many again as could not be kept
  Verdict verdict = Verdict::kLeak;  // what it is, if it is sure enough
  bool remark = false;               // worth knowing, but nothing that adds to what others say
  /// What is said of some of them: those that came the same way.
  std::function<std::string(const Lives&)> text;
};

class Rule {
 public:
  virtual ~Rule() = default;
  virtual void inspect(const SiblingsView& view, const JudgeOptions& options, std::vector<Charge>& charges) const = 0;
};

std::unique_ptr<Rule> make_close_wait_rule();
std::unique_ptr<Rule> make_invisible_rule();
std::unique_ptr<Rule> make_given_up_rule();
std::unique_ptr<Rule> make_unread_rule();
std::unique_ptr<Rule> make_abandoned_rule();
std::unique_ptr<Rule> make_survivor_rule();
std::unique_ptr<Rule> make_growth_rule();
std::unique_ptr<Rule> make_open_at_exit_rule();
std::unique_ptr<Rule> make_reclaimed_late_rule();
std::unique_ptr<Rule> make_outlived_creator_rule();
std::unique_ptr<Rule> make_unused_rule();
std::unique_ptr<Rule> make_silent_rule();

/// Connections that wait for accept(): other sockets than the path's own.
[[nodiscard]] std::optional<Charge> unaccepted(const PathGroup& path, const Tracker& tracker, KernelTime now,
                                               const JudgeOptions& options, std::vector<Life>& lives);

/// Those that are open, and those that were closed in the last moments of their process; not what its end closed.
[[nodiscard]] Lives lives_with_future(const Siblings& siblings);

/// "5 sockets", "1 socket".
[[nodiscard]] std::string sockets_text(std::size_t count);

/// For rules whose trust grows with the number they charge.
[[nodiscard]] double by_count(std::span<const double> first, std::size_t count);

}  // namespace sockleak
