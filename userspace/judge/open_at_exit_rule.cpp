// open-at-exit: the process that opened the socket ended, and only then the kernel closed it. As valgrind and LeakSanitizer
// judge memory at the end of a run, but a socket that was in use, or in a pool, at that moment is nobody's fault: it is asked
// what the socket was then.
#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/text.hpp"
#include "judge/lasting.hpp"
#include "judge/rule.hpp"
#include "judge/standing.hpp"
#include "track/hand_over.hpp"

namespace sockleak {
namespace {

// That siblings were closed shows that the program means to close such sockets.
constexpr double kSiblingsClosed = 0.9;
constexpr double kSiblingsClosedNoneLater = 0.6;  // the last one may have been at work
// Nothing but close() was left to do, or others were opened beside it.
constexpr double kTerminal = 0.93;
constexpr double kPassedOver = 0.9;
constexpr double kBoth = 0.97;
constexpr std::array<double, 3> kUnused{0.3, 0.5, 0.85};
constexpr double kSuspected = 0.45;
constexpr std::size_t kFewPairs = 10;
// Whose peer hung up so shortly before the end may not know it yet.
constexpr Duration kLearnt = std::chrono::seconds(1);
// In use or pooled when its program had done its work.
constexpr double kInUse = 0.2;
// Servers commonly leave their listener to the kernel: worth a remark, not a failed build.
constexpr double kListener = 0.3;

[[nodiscard]] std::uint64_t closed_by_call(const Siblings& siblings) {
  std::uint64_t count = 0;
  for (const auto& [id, path] : siblings.paths) {
    for (const Site* site : path.sites) {
      for (const auto& [close, closed] : site->close_paths) count += close.how == CloseHow::kCall ? closed : 0;
    }
  }
  return count;
}

[[nodiscard]] const char* words_for(Standing standing) {
  switch (standing) {
    case Standing::kFinished:
    case Standing::kHungUp:
      return "closed by their peers before";
    case Standing::kBroken:
      return "broken off before";
    case Standing::kRefused:
      return "refused";
    case Standing::kGivenUp:
      return "still connecting";
    case Standing::kNeverConnected:
      return "never connected";
    case Standing::kUnread:
      return "with unread data";
    default:
      return nullptr;
  }
}

class Hearing {
 public:
  Hearing(const SiblingsView& view, const JudgeOptions& options)
      : view_(view), older_(options.older), siblings_closed_(closed_by_call(view.siblings)) {
    for (const PassedOver& passed : view.passed_over) {
      for (const Life* life : passed.idle) {
        if (passed.says == PassedOver::Says::kLeak) passed_over_.insert(life);
        if (passed.says == PassedOver::Says::kSuspect) suspected_.insert(life);
      }
    }
    for (const Life* life : view.survivors.lives) survivors_.insert(life);
    for (const Life& life : view.siblings.ended) last_birth_ = std::max(last_birth_, life.born);
    for (const GoneSocket& gone : view.siblings.gone) last_birth_ = std::max(last_birth_, gone.born);
    left_ = static_cast<std::size_t>(std::count_if(view.siblings.ended.begin(), view.siblings.ended.end(),
                                                   [](const Life& life) { return life.how == CloseHow::kExit; }));
    unused_ = static_cast<std::size_t>(std::count_if(view.siblings.ended.begin(), view.siblings.ended.end(), [&](const Life& life) {
      return life.how == CloseHow::kExit && standing_of(life, older_) == Standing::kNeverConnected;
    }));
  }

  [[nodiscard]] double confidence(const Life& life) const {
    const Standing standing = standing_of(life, older_);
    // Each end of a pair is somebody else's to close, and a few wake a loop.
    if (view_.siblings.key.role == Role::kPair && left_ < kFewPairs) return kInUse;
    if (standing == Standing::kInUse || standing == Standing::kUnserved) return 0;
    if (view_.names.is_kept_by_pool(*life.socket)) return 0;
    if (view_.names.is_pooled(*life.socket) && !passed_over_.contains(&life)) return 0;
    const bool other_signs = passed_over_.contains(&life) || survivors_.contains(&life);
    if (standing == Standing::kNeverConnected && !other_signs) return unused(life);
    if (is_over(life, standing)) return other_signs || siblings_closed_ != 0 ? kBoth : kTerminal;
    if (passed_over_.contains(&life)) return siblings_closed_ != 0 ? kBoth : kPassedOver;
    double confidence = by_siblings(life);
    if (survivors_.contains(&life)) confidence = std::max(confidence, view_.survivors.confidence);
    if (suspected_.contains(&life)) confidence = std::max(confidence, kSuspected);
    return confidence;
  }

  [[nodiscard]] std::uint64_t siblings_closed() const { return siblings_closed_; }

 private:
  [[nodiscard]] double unused(const Life& life) const {
    if (siblings_closed_ != 0 && !life.end_was_forced) return kSiblingsClosed;
    return by_count(kUnused, unused_);
  }

  /// What can only be closed. A client whose server hung up has not necessarily come to know it.
  [[nodiscard]] bool is_over(const Life& life, Standing standing) const {
    if (standing == Standing::kHungUp && life.until - *life.fin < kLearnt) return false;
    if (standing == Standing::kHungUp) return !life.end_was_forced && siblings_closed_ != 0 && life.born < last_birth_;
    if (standing == Standing::kBroken) return life.accepted || siblings_closed_ != 0;
    return is_terminal(standing);
  }

  [[nodiscard]] double by_siblings(const Life& life) const {
    if (life.end_was_forced || siblings_closed_ == 0 || only_failures_closed()) return kInUse;
    if (life.accepted) return kInUse;  // its peer lives, and may have had more to say
    if (awaits_answer(life)) return kInUse;
    if (view_.names.opens_for_pool(life.socket->stack)) return kInUse;
    if (is_usual(life)) return kInUse;
    return life.born < last_birth_ ? kSiblingsClosed : kSiblingsClosedNoneLater;
  }

  /// What was closed had never become a connection: that says nothing of those that had.
  [[nodiscard]] bool only_failures_closed() const {
    if (view_.siblings.key.role != Role::kConnector || view_.siblings.key.protocol != Protocol::kTcp) return false;
    const auto& gone = view_.siblings.gone;
    return !gone.empty() && std::all_of(gone.begin(), gone.end(), [](const GoneSocket& one) { return one.last_use.ns == 0 && !one.before_peer; });
  }

  /// Siblings of the same process lived for as long, or were closed only after they had lain idle for as long.
  [[nodiscard]] bool is_usual(const Life& life) const {
    std::vector<Duration> idle, lived;
    for (const GoneSocket& gone : view_.siblings.gone) {
      if (gone.process != owner_of(*life.socket)) continue;
      lived.push_back(gone.closed - gone.born);
      if (gone.last_use.ns != 0) idle.push_back(gone.closed - std::max(gone.last_use, gone.born));
    }
    return is_within(life.idle(), idle) || is_within(life.age(), lived);
  }

  /// No longer than what 95 % of them took.
  [[nodiscard]] static bool is_within(Duration time, std::vector<Duration>& usual) {
    if (usual.empty()) return false;
    std::sort(usual.begin(), usual.end());
    return time <= usual[static_cast<std::size_t>(0.95 * static_cast<double>(usual.size() - 1))];
  }

  /// Asked, and not answered yet.
  [[nodiscard]] static bool awaits_answer(const Life& life) {
    return life.facts.last_sent > life.facts.last_received && life.facts.unread == 0;
  }

  const SiblingsView& view_;
  Duration older_;
  std::uint64_t siblings_closed_;
  std::set<const Life*> passed_over_, suspected_, survivors_;
  KernelTime last_birth_;
  std::size_t unused_ = 0;  // how many were never connected
  std::size_t left_ = 0;    // how many there are
};

[[nodiscard]] std::string text_of(const Lives& lives, std::uint64_t siblings, Duration older) {
  std::string text = sockets_text(lives.size()) + " still open when the process ended";
  text += siblings == 0 ? ", none was ever closed" : ", " + count_text(siblings) + (siblings == 1 ? " sibling was closed" : " siblings were closed");
  std::map<std::string, std::uint64_t> states;
  for (const Life* life : lives) {
    if (const char* words = words_for(standing_of(*life, older))) ++states[words];
  }
  for (const auto& [words, count] : states) text += "; " + count_text(count) + ' ' + words;
  return text;
}

class OpenAtExitRule final : public Rule {
 public:
  void inspect(const SiblingsView& view, const JudgeOptions& options, std::vector<Charge>& charges) const override {
    if (!options.at_exit) return;
    listeners(view, charges);
    const Hearing hearing(view, options);
    std::map<double, Lives, std::greater<>> by_confidence;
    for (const Life& life : view.siblings.ended) {
      if (life.how != CloseHow::kExit || serves_the_process(*life.socket, view.tracker)) continue;
      if (view.names.is_furniture(life.socket->stack)) continue;
      if (const double confidence = hearing.confidence(life); confidence > 0) by_confidence[confidence].push_back(&life);
    }
    // Where some are surely left behind, those of which that is likely are so, too.
    if (!by_confidence.empty() && by_confidence.begin()->first >= options.leak_confidence) join_likely(by_confidence);
    while (!by_confidence.empty()) {
      auto first = by_confidence.begin();
      Charge charge{.rule = "open-at-exit", .confidence = first->first, .lives = std::move(first->second), .more = 0, .verdict = Verdict::kLeak, .text = {}};
      by_confidence.erase(first);
      charge.more = not_kept(view.siblings);
      charge.text = [siblings = hearing.siblings_closed(), older = options.older](const Lives& lives) { return text_of(lives, siblings, older); };
      charges.push_back(std::move(charge));
    }
  }

 private:
  static void join_likely(std::map<double, Lives, std::greater<>>& by_confidence) {
    Lives& surest = by_confidence.begin()->second;
    for (auto at = std::next(by_confidence.begin()); at != by_confidence.end() && at->first >= kSuspected; at = by_confidence.erase(at)) {
      surest.insert(surest.end(), at->second.begin(), at->second.end());
    }
  }

  /// Those that the sites could only count.
  [[nodiscard]] static std::uint64_t not_kept(const Siblings& siblings) {
    std::uint64_t more = 0;
    for (const auto& [id, path] : siblings.paths) {
      for (const Site* site : path.sites) more += site->open_at_exit - site->at_exit.size();
    }
    return more;
  }

  static void listeners(const SiblingsView& view, std::vector<Charge>& charges) {
    if (view.siblings.listeners.empty()) return;
    Charge charge{.rule = "open-at-exit", .confidence = kListener, .lives = {}, .more = 0, .verdict = Verdict::kLeak, .text = {}};
    for (const Life& life : view.siblings.listeners) charge.lives.push_back(&life);
    charge.text = [siblings = closed_by_call(view.siblings)](const Lives& lives) {
      return count_text(lives.size()) + " listening" + (lives.size() == 1 ? " socket" : " sockets") + " still open when the process ended" +
             (siblings == 0 ? ", none was ever closed" : "");
    };
    charges.push_back(std::move(charge));
  }
};

}  // namespace

std::unique_ptr<Rule> make_open_at_exit_rule() { return std::make_unique<OpenAtExitRule>(); }

}  // namespace sockleak
