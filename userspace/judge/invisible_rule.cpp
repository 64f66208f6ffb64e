// invisible: a descriptor whose socket is closed already (reset, refused), or was never connected or bound. The kernel has
// taken such a socket out of its tables: `ss` and inet_diag do not list it, and it can do nothing any more but be closed.
#include <algorithm>
#include <array>

#include "base/text.hpp"
#include "judge/rule.hpp"
#include "judge/standing.hpp"

namespace sockleak {
namespace {

// A server's connection has no second life; nor has one whose error the program has seen.
constexpr std::array<double, 2> kOver{0.82, 0.9};
// A client's pool notices a reset at the next use only.
constexpr std::array<double, 3> kBroken{0.4, 0.45, 0.48};
// A refused connection is in no pool; one may be tried again on the same socket.
constexpr std::array<double, 3> kRefused{0.6, 0.82, 0.9};
// One or two that were never used may be somebody's reserve.
constexpr std::array<double, 5> kUnused{0.2, 0.3, 0.6, 0.8, 0.85};

[[nodiscard]] std::string text_of(const Lives& lives, Duration older) {
  std::size_t broken = 0, refused = 0, unused = 0;
  Duration oldest{};
  for (const Life* life : lives) {
    const Standing standing = standing_of(*life, older);
    broken += standing == Standing::kBroken ? 1 : 0;
    refused += standing == Standing::kRefused ? 1 : 0;
    unused += standing == Standing::kNeverConnected ? 1 : 0;
    oldest = std::max(oldest, life->until - std::max(life->socket->state_since, life->born));
  }
  std::string text = sockets_text(lives.size()) + " that `ss` cannot show: ";
  const char* separator = "";
  const auto add = [&](std::size_t count, const char* what) {
    if (count == 0) return;
    text += separator + count_text(count) + what;
    separator = ", ";
  };
  add(refused, " refused or given up");
  add(broken, " broken off");
  add(unused, " never connected");
  return text + ", for >= " + duration_text(older) + ", oldest " + duration_text(oldest);
}

class InvisibleRule final : public Rule {
 public:
  void inspect(const SiblingsView& view, const JudgeOptions& options, std::vector<Charge>& charges) const override {
    Lives over, broken, refused, unused;
    for (const Life* life : lives_with_future(view.siblings)) {
      switch (standing_of(*life, options.older)) {
        case Standing::kBroken:
          (life->accepted || life->facts.end_read.value_or(false) ? over : broken).push_back(life);
          break;
        case Standing::kRefused:
          refused.push_back(life);
          break;
        case Standing::kNeverConnected:
          unused.push_back(life);
          break;
        default:
          break;
      }
    }
    const auto text = [older = options.older](const Lives& lives) { return text_of(lives, older); };
    const auto charge = [&](Lives& lives, std::span<const double> trust) {
      if (lives.empty()) return;
      const double confidence = by_count(trust, lives.size());
      charges.push_back({.rule = "invisible", .confidence = confidence, .lives = std::move(lives), .more = 0,
                         .verdict = Verdict::kLeak, .text = text});
    };
    charge(over, kOver);
    charge(broken, kBroken);
    charge(refused, kRefused);
    charge(unused, kUnused);
  }
};

}  // namespace

std::unique_ptr<Rule> make_invisible_rule() { return std::make_unique<InvisibleRule>(); }

}  // namespace sockleak
