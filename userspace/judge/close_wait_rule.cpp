// close-wait: the peer has sent its FIN, which only our close() can answer, and for a long time nobody did.
#include <algorithm>
#include <memory>
#include <string>

#include "base/text.hpp"
#include "judge/rule.hpp"

namespace sockleak {
namespace {

// A server has nothing to wait for after the client's FIN.
constexpr double kAccepted = 0.95;
// A connection that idles in a client's pool sits in CLOSE_WAIT, rightly, until its next use notices: one says little,
// many say more, unless their number stands still.
constexpr double kFirstConnected = 0.6;
constexpr double kPerConnected = 0.05;
constexpr double kMostConnected = 0.95;
constexpr double kPlateau = 0.6;
// Who opened a socket from before we came is unknown, so that one may be a pool's.
constexpr double kOneBeforeAttach = 0.7;
constexpr double kManyBeforeAttach = 0.9;
constexpr std::size_t kManyCount = 3;

/// When the duty to close began: the FIN, or the accept if that came later.
[[nodiscard]] KernelTime due_since(const SocketRecord& socket) {
  return std::max(*socket.close_wait_since, socket.created);
}

[[nodiscard]] double confidence_of(const SiteView& view, std::size_t count) {
  if (view.key.origin == Origin::kAccept) return kAccepted;
  if (view.key.origin == Origin::kBeforeAttach) return count >= kManyCount ? kManyBeforeAttach : kOneBeforeAttach;
  const double by_count = std::min(kFirstConnected + kPerConnected * static_cast<double>(count - 1), kMostConnected);
  return is_plateau(view) ? std::min(by_count, kPlateau) : by_count;
}

class CloseWaitRule final : public Rule {
 public:
  [[nodiscard]] std::optional<Accusation> inspect(const SiteView& view, const JudgeOptions& options) const override {
    Accusation accusation;
    Duration oldest{};
    for (const SocketRecord* socket : view.open) {
      if (socket->state != TcpState::kCloseWait || !socket->close_wait_since || socket->unaccepted) continue;
      const Duration waited = view.now - due_since(*socket);
      if (waited < options.older) continue;
      oldest = std::max(oldest, waited);
      accusation.sockets.push_back(socket);
    }
    if (accusation.sockets.empty()) return std::nullopt;
    const std::size_t count = accusation.sockets.size();
    accusation.count = count;
    accusation.evidence = {"close-wait",
                           count_text(count) + (count == 1 ? " socket >= " : " sockets >= ") +
                               duration_text(options.older) + ", oldest " + duration_text(oldest),
                           confidence_of(view, count)};
    return accusation;
  }
};

}  // namespace

std::unique_ptr<Rule> make_close_wait_rule() {
  return std::make_unique<CloseWaitRule>();
}

}  // namespace sockleak
