// invisible: a descriptor whose TCP socket is closed already (reset, refused), or was never connected or bound. The
// kernel has taken such a socket out of its tables: `ss` and inet_diag do not list it, and it can do nothing any more
// but be closed.
#include <algorithm>
#include <memory>
#include <string>

#include "base/text.hpp"
#include "judge/rule.hpp"

namespace sockleak {
namespace {

// A server's connection has no second life.
constexpr double kAccepted = 0.9;
// A client's pool notices a reset at the next use only: one says little, many say more, unless they stand still.
constexpr double kFirstBroken = 0.6;
// A socket that was never used may be somebody's reserve.
constexpr double kFirstUnused = 0.3;
constexpr double kPerSocket = 0.05;
constexpr double kMost = 0.9;
constexpr double kPlateau = 0.6;
constexpr std::size_t kManyCount = 3;
constexpr double kManyBeforeAttach = 0.85;

[[nodiscard]] bool was_connected(const SocketRecord& socket) {
  return socket.addresses.remote.port != 0;
}

[[nodiscard]] double confidence_of(const SiteView& view, std::size_t broken, std::size_t unused) {
  if (view.key.origin == Origin::kAccept) return kAccepted;
  if (view.key.origin == Origin::kBeforeAttach) return broken >= kManyCount ? kManyBeforeAttach : kFirstBroken;
  const double first = broken != 0 ? kFirstBroken : kFirstUnused;
  const double by_count = std::min(first + kPerSocket * static_cast<double>(broken + unused - 1), kMost);
  return is_plateau(view) ? std::min(by_count, kPlateau) : by_count;
}

class InvisibleRule final : public Rule {
 public:
  [[nodiscard]] std::optional<Accusation> inspect(const SiteView& view, const JudgeOptions& options) const override {
    if (view.key.protocol != Protocol::kTcp) return std::nullopt;
    Accusation accusation;
    std::size_t broken = 0;
    Duration oldest{};
    for (const SocketRecord* socket : view.open) {
      if (socket->state != TcpState::kClose || socket->holders.empty()) continue;
      const Duration age = view.now - std::max(socket->state_since, socket->created);
      if (age < options.older) continue;
      oldest = std::max(oldest, age);
      broken += was_connected(*socket) ? 1 : 0;
      accusation.sockets.push_back(socket);
    }
    if (accusation.sockets.empty()) return std::nullopt;
    accusation.count = accusation.sockets.size();
    const std::size_t unused = accusation.count - broken;
    std::string text = count_text(accusation.count) + (accusation.count == 1 ? " socket" : " sockets") +
                       " that `ss` cannot show: ";
    if (broken != 0) text += count_text(broken) + " broken off";
    if (broken != 0 && unused != 0) text += ", ";
    if (unused != 0) text += count_text(unused) + " never connected";
    text += ", for >= " + duration_text(options.older) + ", oldest " + duration_text(oldest);
    accusation.evidence = {"invisible", std::move(text), confidence_of(view, broken, unused)};
    return accusation;
  }
};

}  // namespace

std::unique_ptr<Rule> make_invisible_rule() {
  return std::make_unique<InvisibleRule>();
}

}  // namespace sockleak
