// growth: more and more sockets of one place are open, and nobody waits for what comes on them; or all are in use, but their
// number rises without end and they outlive all that were closed. A remark: a program that does more and more work looks the
// same, until its siblings or its own sockets say otherwise.
#include <algorithm>

#include "base/text.hpp"
#include "judge/rule.hpp"
#include "judge/standing.hpp"

namespace sockleak {
namespace {

constexpr std::ptrdiff_t kSinceThird = 5;
constexpr std::ptrdiff_t kSinceTwoThirds = 3;
constexpr double kConfidence = 0.4;
constexpr double kInUse = 0.3;
constexpr std::size_t kManyInUse = 10;

[[nodiscard]] std::ptrdiff_t open_at(const Siblings& siblings, KernelTime time) {
  const auto open =
      std::count_if(siblings.open.begin(), siblings.open.end(), [&](const Life& life) { return life.born <= time; });
  const auto gone = std::count_if(siblings.gone.begin(), siblings.gone.end(),
                                  [&](const GoneSocket& s) { return s.born <= time && time < s.closed; });
  return open + static_cast<std::ptrdiff_t>(static_cast<double>(gone) * siblings.gone_weight);
}

/// Most of those that are open are no older than their closed siblings became.
[[nodiscard]] bool lives_like(const Siblings& siblings) {
  Duration longest{};
  for (const GoneSocket& gone : siblings.gone) longest = std::max(longest, gone.closed - gone.born);
  const auto older =
      std::count_if(siblings.open.begin(), siblings.open.end(), [&](const Life& life) { return life.age() > longest; });
  return static_cast<std::size_t>(older) * 2 < siblings.open.size();
}

class GrowthRule final : public Rule {
 public:
  void inspect(const SiblingsView& view, const JudgeOptions& options, std::vector<Charge>& charges) const override {
    const Siblings& siblings = view.siblings;
    // Sockets from before we came are found one by one: their number rises with what we see, not with what is opened.
    if (siblings.key.role == Role::kBeforeConnected || siblings.key.role == Role::kBeforeAccepted) return;
    const KernelTime begin = view.tracker.session_begin();
    const Duration third = (view.now - begin) / 3;
    const auto now = static_cast<std::ptrdiff_t>(siblings.open.size());
    const std::ptrdiff_t early = open_at(siblings, begin + third), late = open_at(siblings, begin + 2 * third);
    if (begin.ns == 0 || now - early < kSinceThird || now - late < kSinceTwoThirds) return;
    Charge charge{.rule = "growth",
                  .confidence = kConfidence,
                  .lives = {},
                  .more = 0,
                  .verdict = Verdict::kLeak,
                  .remark = true,
                  .text = {}};
    for (const Life& life : siblings.open) {
      if (standing_of(life, options.older) == Standing::kIdle && !life.accepted) charge.lives.push_back(&life);
    }
    const bool idle = charge.lives.size() >= static_cast<std::size_t>(kSinceThird);
    if (!idle) {
      if (siblings.key.role == Role::kAccepted || siblings.open.size() < kManyInUse || late - early < kSinceTwoThirds)
        return;
      if (lives_like(siblings)) return;
      charge.lives.clear();
      for (const Life& life : siblings.open) {
        if (!is_waited_for(life)) charge.lives.push_back(&life);
      }
      if (charge.lives.size() < kManyInUse) return;
      charge.confidence = kInUse;
    }
    charge.text = [early, now, idle](const Lives&) {
      return "from " + count_text(static_cast<std::uint64_t>(early)) + " open ones after a third of the session to " +
             count_text(static_cast<std::uint64_t>(now)) + " at its end" +
             (idle ? "" : ", all in use, and older than those that were closed became");
    };
    charges.push_back(std::move(charge));
  }
};

}  // namespace

std::unique_ptr<Rule> make_growth_rule() {
  return std::make_unique<GrowthRule>();
}

}  // namespace sockleak
