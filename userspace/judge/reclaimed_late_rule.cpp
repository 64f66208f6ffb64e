// reclaimed-late: nobody closed it; a collector found it, or the end of the interpreter did. Where references are counted, a
// close at the end of the function that used the socket is ordinary; one long after its last use, or below the interpreter's
// end, says that the program never would have.
#include <algorithm>
#include <array>

#include "base/text.hpp"
#include "judge/rule.hpp"
#include "judge/standing.hpp"

namespace sockleak {
namespace {

constexpr std::array<double, 3> kAtTheEnd{0.3, 0.45, 0.7};
constexpr double kPooled = 0.3;
constexpr std::size_t kMany = 3;

/// Opened one after the other although the earlier ones lay idle: no pool does that.
[[nodiscard]] bool one_after_the_other(const Lives& lives) {
  std::size_t beside_idle = 0;
  for (std::size_t i = 0; i + 1 < lives.size(); ++i) beside_idle += lives[i]->used <= lives[i + 1]->born ? 1 : 0;
  return beside_idle * 2 >= lives.size();
}

class ReclaimedLateRule final : public Rule {
 public:
  void inspect(const SiblingsView& view, const JudgeOptions& options, std::vector<Charge>& charges) const override {
    if (!options.at_exit) return;
    Lives lives;
    for (const Life& life : view.siblings.ended) {
      if (life.how == CloseHow::kExit || view.names.is_furniture(life.socket->stack)) continue;
      if (view.names.reclaimer(life.closed_at) == Reclaimer::kInterpretersEnd) lives.push_back(&life);
    }
    if (lives.empty()) return;
    double confidence = by_count(kAtTheEnd, lives.size());
    if (lives.size() >= kMany && !one_after_the_other(lives)) confidence = kPooled;
    charges.push_back({.rule = "reclaimed-late", .confidence = confidence, .lives = std::move(lives), .more = 0, .verdict = Verdict::kLeak,
                       .text = [](const Lives& all) {
                         Duration longest{};
                         for (const Life* life : all) longest = std::max(longest, life->idle());
                         return sockets_text(all.size()) + " that only the end of the interpreter closed, up to " + duration_text(longest) + " after the last use";
                       }});
  }
};

}  // namespace

std::unique_ptr<Rule> make_reclaimed_late_rule() { return std::make_unique<ReclaimedLateRule>(); }

}  // namespace sockleak
