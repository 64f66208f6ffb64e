// Sockets that could still be used and are not. abandoned: their program opened others beside them. survivor: siblings that
// lay idle were closed long before. growth: their number rises; a remark, for what grows may be in use.
#include <algorithm>
#include <array>

#include "base/text.hpp"
#include "judge/rule.hpp"
#include "judge/standing.hpp"

namespace sockleak {
namespace {

constexpr double kAbandoned = 0.88;
constexpr double kManyAbandoned = 0.93;
constexpr std::size_t kMany = 8;
constexpr double kSuspected = 0.45;
constexpr double kShortSession = 0.7;
constexpr double kSaturated = 0.45;
constexpr std::size_t kFew = 3;
constexpr double kNeverUsed = 0.05;  // more

[[nodiscard]] double confidence_of(const PassedOver& passed) {
  switch (passed.says) {
    case PassedOver::Says::kLeak: {
      const bool unused = std::all_of(passed.idle.begin(), passed.idle.end(), [](const Life* l) { return l->never_used().value_or(false); });
      return (passed.idle.size() >= kMany ? kManyAbandoned : kAbandoned) + (unused ? kNeverUsed : 0);
    }
    case PassedOver::Says::kSuspect:
      if (passed.short_session) return kShortSession;
      return passed.idle.size() >= kFew ? kSuspected : 0;  // one or two lie idle in any program
    case PassedOver::Says::kSaturated:
      return kSaturated;
    default:
      return 0;
  }
}

class AbandonedRule final : public Rule {
 public:
  void inspect(const SiblingsView& view, const JudgeOptions&, std::vector<Charge>& charges) const override {
    for (const PassedOver& passed : view.passed_over) {
      Charge charge{.rule = "abandoned", .confidence = confidence_of(passed), .lives = {}, .more = 0, .verdict = Verdict::kLeak, .text = {}};
      if (charge.confidence == 0) continue;
      for (const Life* life : passed.idle) {
        if (life->ended && (life->how == CloseHow::kExit || passed.short_session)) continue;  // open-at-exit says it
        charge.lives.push_back(life);
      }
      if (charge.lives.empty()) continue;
      charge.text = [text = describe(passed), whole = charge.lives.size(), births = passed.births](const Lives& lives) {
        if (lives.size() == whole) return text;
        return count_text(lives.size()) + " of " + count_text(whole) + " idle ones that were passed over when " + count_text(births) + " more were opened";
      };
      charges.push_back(std::move(charge));
    }
  }
};

class SurvivorRule final : public Rule {
 public:
  void inspect(const SiblingsView& view, const JudgeOptions&, std::vector<Charge>& charges) const override {
    const Survivors& survivors = view.survivors;
    Charge charge{.rule = "survivor", .confidence = survivors.confidence, .lives = {}, .more = 0, .verdict = Verdict::kLeak, .text = {}};
    for (const Life* life : survivors.lives) {
      if (life->ended && life->how == CloseHow::kExit) continue;
      charge.lives.push_back(life);
    }
    if (charge.lives.empty() || charge.confidence == 0) return;
    charge.text = [by_idle_time = survivors.by_idle_time, longest = survivors.longest](const Lives& lives) {
      Duration oldest{};
      for (const Life* life : lives) oldest = std::max(oldest, by_idle_time ? life->idle() : life->age());
      return (by_idle_time ? "idle for up to " : "open for up to ") + duration_text(oldest) + ", while the closed siblings were closed after " +
             duration_text(longest) + " at the latest";
    };
    charges.push_back(std::move(charge));
  }
};

}  // namespace

std::unique_ptr<Rule> make_abandoned_rule() { return std::make_unique<AbandonedRule>(); }
std::unique_ptr<Rule> make_survivor_rule() { return std::make_unique<SurvivorRule>(); }

}  // namespace sockleak
