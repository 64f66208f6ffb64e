// silent: connections that a server has accepted and still waits for, long after the others have come to their ends. A
// peer that vanished without a FIN looks like this, and so does a patient one: a remark, and a hint at what would tell
// them apart.
#include <algorithm>
#include <vector>

#include "base/text.hpp"
#include "judge/rule.hpp"
#include "judge/standing.hpp"

namespace sockleak {
namespace {

constexpr std::size_t kFewestEnded = 5;
constexpr std::size_t kFewest = 3;
constexpr double kFarBeyond = 10;  // times what 95 % of those that ended had been silent for
constexpr double kConfidence = 0.4;

class SilentRule final : public Rule {
 public:
  void inspect(const SiblingsView& view, const JudgeOptions& options, std::vector<Charge>& charges) const override {
    if (view.siblings.key.role != Role::kAccepted) return;
    std::vector<Duration> silent;
    for (const GoneSocket& gone : view.siblings.gone) {
      if (gone.last_use.ns != 0) silent.push_back(gone.closed - std::max(gone.last_use, gone.born));
    }
    if (silent.size() < kFewestEnded) return;
    std::sort(silent.begin(), silent.end());
    const Duration usual = silent[static_cast<std::size_t>(0.95 * static_cast<double>(silent.size() - 1))];
    const double least = std::max(seconds(options.older), kFarBeyond * seconds(usual));
    Charge charge{.rule = "silent",
                  .confidence = kConfidence,
                  .lives = {},
                  .more = 0,
                  .verdict = Verdict::kLeak,
                  .remark = true,
                  .text = {}};
    for (const auto* lives : {&view.siblings.open, &view.siblings.ended}) {
      for (const Life& life : *lives) {
        if (life.socket->state == TcpState::kEstablished && seconds(life.idle()) >= least)
          charge.lives.push_back(&life);
      }
    }
    if (charge.lives.size() < kFewest) return;
    charge.text = [usual](const Lives& lives) {
      Duration longest{};
      for (const Life* life : lives) longest = std::max(longest, life->idle());
      return "silent for up to " + duration_text(longest) + ", while those that ended had been for " +
             duration_text(usual) +
             " at most: peers that are gone without a word look like this; keepalive or an idle limit would close them";
    };
    charges.push_back(std::move(charge));
  }
};

}  // namespace

std::unique_ptr<Rule> make_silent_rule() {
  return std::make_unique<SilentRule>();
}

}  // namespace sockleak
