// Sockets on which something has come to a halt. given-up: still trying to connect, while nobody waits for that any more.
// unread: an answer that nobody reads. stuck: requests that nobody reads, because whoever should hangs elsewhere; no leak.
#include <algorithm>
#include <array>

#include "base/text.hpp"
#include "judge/rule.hpp"
#include "judge/standing.hpp"

namespace sockleak {
namespace {

constexpr std::array<double, 3> kGivenUp{0.45, 0.7, 0.85};
constexpr std::array<double, 3> kUnread{0.45, 0.75, 0.88};
constexpr double kStuck = 0.7;

[[nodiscard]] Lives those(const SiblingsView& view, Standing wanted, Duration older) {
  Lives lives;
  for (const Life* life : lives_with_future(view.siblings)) {
    if (standing_of(*life, older) == wanted) lives.push_back(life);
  }
  return lives;
}

[[nodiscard]] Duration oldest(const Lives& lives) {
  Duration most{};
  for (const Life* life : lives) most = std::max(most, life->idle());
  return most;
}

[[nodiscard]] std::string unread_text(const Lives& lives) {
  std::uint64_t bytes = 0;
  for (const Life* life : lives) bytes += life->facts.unread;
  return count_text(bytes) + (bytes == 1 ? " byte" : " bytes") + " that nobody reads on " + sockets_text(lives.size()) + ", oldest " +
         duration_text(oldest(lives));
}

class GivenUpRule final : public Rule {
 public:
  void inspect(const SiblingsView& view, const JudgeOptions& options, std::vector<Charge>& charges) const override {
    Lives lives = those(view, Standing::kGivenUp, options.older);
    if (lives.empty()) return;
    const double confidence = by_count(kGivenUp, lives.size());
    charges.push_back({.rule = "given-up", .confidence = confidence, .lives = std::move(lives), .more = 0, .verdict = Verdict::kLeak,
                       .text = [older = options.older](const Lives& all) {
                         return sockets_text(all.size()) + " still connecting for >= " + duration_text(older) + ", oldest " +
                                duration_text(oldest(all)) + ", and nobody waits for it";
                       }});
  }
};

class UnreadRule final : public Rule {
 public:
  void inspect(const SiblingsView& view, const JudgeOptions& options, std::vector<Charge>& charges) const override {
    if (Lives lives = those(view, Standing::kUnread, options.older); !lives.empty()) {
      const double confidence = by_count(kUnread, lives.size());
      charges.push_back({.rule = "unread", .confidence = confidence, .lives = std::move(lives), .more = 0, .verdict = Verdict::kLeak,
                         .text = unread_text});
    }
    if (Lives lives = those(view, Standing::kUnserved, options.older); !lives.empty()) {
      charges.push_back({.rule = "stuck", .confidence = kStuck, .lives = std::move(lives), .more = 0, .verdict = Verdict::kStuck,
                         .text = unread_text});
    }
  }
};

}  // namespace

std::unique_ptr<Rule> make_given_up_rule() { return std::make_unique<GivenUpRule>(); }
std::unique_ptr<Rule> make_unread_rule() { return std::make_unique<UnreadRule>(); }

}  // namespace sockleak
