// unaccepted: connections that wait in a target's accept queue. No descriptor refers to them, so that they look
// ownerless; the acceptor hangs, is too slow, or has no descriptor left to accept with.
#include <algorithm>
#include <memory>
#include <string>

#include "base/text.hpp"
#include "judge/rule.hpp"

namespace sockleak {
namespace {

constexpr double kNoDescriptorLeft = 0.95;
constexpr double kQueueFull = 0.9;
constexpr double kWaiting = 0.7;

/// A process that holds a listener and has used up its descriptors.
[[nodiscard]] const SnapshotLimit* exhausted(const SiteView& view) {
  for (const SnapshotLimit& limit : view.tracker.limits()) {
    if (limit.limit == 0 || limit.used < limit.limit) continue;
    for (const SocketRecord* socket : view.open) {
      const auto holds = [&](const Holder& holder) { return holder.process.pid == limit.pid; };
      if (std::any_of(socket->holders.begin(), socket->holders.end(), holds)) return &limit;
    }
  }
  return nullptr;
}

class UnacceptedRule final : public Rule {
 public:
  [[nodiscard]] std::optional<Accusation> inspect(const SiteView& view, const JudgeOptions& options) const override {
    Accusation accusation;
    Duration oldest{};
    for (const SocketRecord* socket : view.waiting) {
      const Duration waited = view.now - socket->created;
      if (waited < options.older) continue;
      oldest = std::max(oldest, waited);
      accusation.sockets.push_back(socket);
    }
    if (accusation.sockets.empty()) return std::nullopt;
    accusation.count = accusation.sockets.size();
    std::string text = count_text(accusation.count) + (accusation.count == 1 ? " connection waits" : " connections wait") +
                       " for accept() >= " + duration_text(options.older) + ", oldest " + duration_text(oldest);
    bool full = false;
    std::uint64_t waiting = 0, backlog = 0;
    for (const SocketRecord* listener : view.open) {
      const Plight* plight = view.tracker.plight(listener->id);
      if (plight == nullptr || plight->waiting == 0) continue;
      waiting += plight->waiting;
      backlog += plight->backlog;
      full = full || plight->waiting >= plight->backlog;
    }
    if (waiting != 0) text += "; the queue holds " + count_text(waiting) + ", backlog " + count_text(backlog);
    const SnapshotLimit* limit = exhausted(view);
    if (limit != nullptr) {
      text += "; " + limit->comm + " (" + std::to_string(limit->pid.value) + ") has " +
              count_text(limit->used) + " of " + count_text(limit->limit) + " descriptors: accept() fails with EMFILE";
    }
    accusation.evidence = {"unaccepted", std::move(text),
                           limit != nullptr ? kNoDescriptorLeft : full ? kQueueFull : kWaiting};
    return accusation;
  }
};

}  // namespace

std::unique_ptr<Rule> make_unaccepted_rule() {
  return std::make_unique<UnacceptedRule>();
}

}  // namespace sockleak
