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
[[nodiscard]] const SnapshotLimit* exhausted(const PathGroup& path, const Tracker& tracker) {
  for (const SnapshotLimit& limit : tracker.limits()) {
    if (limit.limit == 0 || limit.used < limit.limit) continue;
    for (const SocketRecord* socket : path.open) {
      const auto holds = [&](const Holder& holder) { return holder.process.pid == limit.pid; };
      if (std::any_of(socket->holders.begin(), socket->holders.end(), holds)) return &limit;
    }
  }
  return nullptr;
}

[[nodiscard]] std::string queue_text(const PathGroup& path, const Tracker& tracker, bool& full) {
  std::uint64_t waiting = 0, backlog = 0;
  for (const SocketRecord* listener : path.open) {
    const Plight* plight = tracker.plight(listener->id);
    if (plight == nullptr || plight->waiting == 0) continue;
    waiting += plight->waiting;
    backlog += plight->backlog;
    full = full || plight->waiting >= plight->backlog;
  }
  return waiting == 0 ? "" : "; the queue holds " + count_text(waiting) + ", backlog " + count_text(backlog);
}

}  // namespace

std::optional<Charge> unaccepted(const PathGroup& path, const Tracker& tracker, KernelTime now, const JudgeOptions& options,
                                 std::vector<Life>& lives) {
  Duration oldest{};
  for (const SocketRecord* socket : path.waiting) {
    const Duration waited = now - socket->created;
    if (waited < options.older) continue;
    oldest = std::max(oldest, waited);
    lives.push_back(life_of(*socket, tracker, now));
  }
  if (lives.empty()) return std::nullopt;
  std::string text = count_text(lives.size()) + (lives.size() == 1 ? " connection waits" : " connections wait") + " for accept() >= " +
                     duration_text(options.older) + ", oldest " + duration_text(oldest);
  bool full = false;
  text += queue_text(path, tracker, full);
  const SnapshotLimit* limit = exhausted(path, tracker);
  if (limit != nullptr) {
    text += "; " + limit->comm + " (" + std::to_string(limit->pid.value) + ") has " + count_text(limit->used) + " of " +
            count_text(limit->limit) + " descriptors: accept() fails with EMFILE";
  }
  Charge charge{.rule = "unaccepted", .confidence = limit != nullptr ? kNoDescriptorLeft : full ? kQueueFull : kWaiting, .lives = {},
                .more = 0, .verdict = Verdict::kOwnerless, .text = [text](const Lives&) { return text; }};
  for (const Life& life : lives) charge.lives.push_back(&life);
  return charge;
}

}  // namespace sockleak
