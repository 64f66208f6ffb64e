// growth: the fewest open sockets of a site rise from window to window. Load makes the maximum swing; only what is
// never given back lifts the minimum.
#include <algorithm>
#include <memory>
#include <string>

#include "base/text.hpp"
#include "judge/rule.hpp"

namespace sockleak {
namespace {

constexpr std::uint32_t kLeastRise = 4;  // sockets; fewer are noise
constexpr double kBase = 0.5;
constexpr double kPerWindow = 0.05;
constexpr double kMost = 0.9;

/// How often in a row, up to the last window, the minimum was above the one before.
[[nodiscard]] std::size_t rising_windows(const std::vector<std::uint32_t>& minima) {
  std::size_t rises = 0;
  while (rises + 1 < minima.size()) {
    const std::size_t last = minima.size() - 1 - rises;
    if (minima[last] <= minima[last - 1]) break;
    ++rises;
  }
  return rises;
}

[[nodiscard]] bool closed_unseen(const Site& site) {
  return std::any_of(site.close_paths.begin(), site.close_paths.end(),
                     [](const auto& path) { return path.first.how == CloseHow::kUnseen; });
}

class GrowthRule final : public Rule {
 public:
  [[nodiscard]] std::optional<Accusation> inspect(const SiteView& view, const JudgeOptions& options) const override {
    // Sockets from before we came are found one by one: their number rises with what we see, not with what is opened.
    if (view.key.origin == Origin::kBeforeAttach) return std::nullopt;
    if (closed_unseen(view.site)) return std::nullopt;  // nobody knows when: the minima are too high
    const auto minima = view.site.live_minima.ended(view.now);
    const std::size_t rises = rising_windows(minima);
    if (rises == 0 || rises < options.growth_windows) return std::nullopt;
    const std::uint32_t first = minima[minima.size() - 1 - rises];
    const std::uint32_t last = minima.back();
    if (last - first < kLeastRise) return std::nullopt;
    Accusation accusation;
    for (const SocketRecord* socket : view.open) {
      if (accusation.sockets.size() == last - first) break;
      if (!socket->unaccepted && socket->state != TcpState::kListen) accusation.sockets.push_back(socket);
    }
    if (accusation.sockets.empty()) return std::nullopt;
    accusation.count = accusation.sockets.size();
    accusation.evidence = {"growth",
                           "fewest open sockets rose from " + count_text(first) + " to " + count_text(last) + " over " +
                               std::to_string(rises) + " windows of " + duration_text(view.site.live_minima.window()),
                           std::min(kBase + kPerWindow * static_cast<double>(rises), kMost)};
    return accusation;
  }
};

}  // namespace

std::unique_ptr<Rule> make_growth_rule() {
  return std::make_unique<GrowthRule>();
}

}  // namespace sockleak
