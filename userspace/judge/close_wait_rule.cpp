// close-wait: the peer has sent its FIN, which only our close() can answer, and for a long time nobody did.
#include <algorithm>
#include <array>

#include "base/text.hpp"
#include "judge/rule.hpp"
#include "judge/standing.hpp"

namespace sockleak {
namespace {

// A server has nothing to wait for after the client's FIN.
constexpr double kAccepted = 0.95;
// Whoever has read the end of the file knows that the connection is over.
constexpr std::array<double, 3> kReadToTheEnd{0.82, 0.9, 0.95};
// A connection that idles in a client's pool sits in CLOSE_WAIT, rightly, until its next use notices: their number says
// little, but the time that siblings take to answer a FIN does.
constexpr std::array<double, 3> kHungUp{0.3, 0.35, 0.45};
constexpr std::array<double, 3> kFarBeyondSiblings{0.6, 0.82, 0.9};
constexpr double kFarBeyond = 10;  // times what siblings take
constexpr std::uint64_t kFewestAnswers = 5;

/// 95 % of the siblings that were closed have answered the peer's FIN within this; zero = nobody knows.
[[nodiscard]] Duration usual_answer(const Siblings& siblings) {
  Duration usual{};
  for (const auto& [id, path] : siblings.paths) {
    for (const Site* site : path.sites) {
      if (site->dwells.count() >= kFewestAnswers) usual = std::max(usual, site->dwells.quantile(0.95));
    }
  }
  return usual;
}

[[nodiscard]] std::string text_of(const Lives& lives, Duration older) {
  Duration oldest{};
  std::size_t read = 0, before_the_end = 0;
  for (const Life* life : lives) {
    oldest = std::max(oldest, life->until - std::max(*life->fin, life->born));
    read += life->facts.end_read.value_or(false) ? 1 : 0;
    before_the_end += life->ended ? 1 : 0;
  }
  std::string text = sockets_text(lives.size()) + " >= " + duration_text(older) + ", oldest " + duration_text(oldest);
  if (read == lives.size()) text += read == 1 ? ", read to its end" : ", all read to their end";
  else if (read != 0) text += ", " + count_text(read) + " read to their end";
  if (before_the_end == lives.size()) text += ", until the process closed what was left as it ended";
  return text;
}

class CloseWaitRule final : public Rule {
 public:
  void inspect(const SiblingsView& view, const JudgeOptions& options, std::vector<Charge>& charges) const override {
    Lives finished, hung_up;
    for (const Life* life : lives_with_future(view.siblings)) {
      if (!life->fin) continue;
      const Standing standing = standing_of(*life, options.older);
      if (standing == Standing::kFinished) finished.push_back(life);
      if (standing == Standing::kHungUp) hung_up.push_back(life);
    }
    const auto text = [older = options.older](const Lives& lives) { return text_of(lives, older); };
    if (!finished.empty()) {
      const bool accepted = finished.front()->accepted;
      charges.push_back({.rule = "close-wait",
                         .confidence = accepted ? kAccepted : by_count(kReadToTheEnd, finished.size()),
                         .lives = std::move(finished), .more = 0, .verdict = Verdict::kLeak, .text = text});
    }
    if (hung_up.empty()) return;
    const Duration usual = usual_answer(view.siblings);
    Lives late;
    for (const Life* life : hung_up) {
      if (usual > Duration::zero() && seconds(life->until - *life->fin) > kFarBeyond * seconds(usual)) late.push_back(life);
    }
    const bool far = !late.empty();
    const double confidence = far ? by_count(kFarBeyondSiblings, late.size()) : by_count(kHungUp, hung_up.size());
    charges.push_back({.rule = "close-wait", .confidence = confidence, .lives = far ? std::move(late) : std::move(hung_up),
                       .more = 0, .verdict = Verdict::kLeak, .text = text});
  }
};

}  // namespace

std::unique_ptr<Rule> make_close_wait_rule() { return std::make_unique<CloseWaitRule>(); }

}  // namespace sockleak
