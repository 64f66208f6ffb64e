// How a socket was handed over tells how likely it is kept by mistake: a program that was executed cannot know a
// descriptor that just came along, while one that received it asked for it. Listeners are handed on by design (systemd,
// inetd, restarts without downtime).
#include "judge/leftovers.hpp"

#include <algorithm>
#include <tuple>

#include "judge/rule.hpp"
#include "track/hand_over.hpp"

namespace sockleak {

namespace {
constexpr std::int32_t kLastStandardFd = 2;
// A unix socket that came along blocks no port and no peer; some are handed to a child on purpose, by number.
constexpr double kUnixComesAlong = 0.6;

}  // namespace

double leftover_confidence(HandOver how, Protocol protocol) {
  switch (how) {
    case HandOver::kForkExec:
      return protocol == Protocol::kUnix ? kUnixComesAlong : 0.9;
    case HandOver::kFork:
      return 0.5;
    default:
      return 0.4;
  }
}

namespace {

/// Whoever executed a program to serve this very connection uses it from then on.
[[nodiscard]] bool is_used_by(const ProcessId& holder, const SocketRecord& socket, const Tracker& tracker) {
  const SocketFacts* facts = tracker.facts(socket.id);
  if (const Tracker::LastTouch* touched = tracker.last_touch(socket.id)) {
    if (touched->touch.task.process == holder) return true;
  }
  if (facts == nullptr) return false;
  const auto execed = tracker.processes().last_exec(holder);
  const bool waited_for = facts->waiter != Waiter::kUnknown && facts->waiter != Waiter::kNobody;
  return waited_for || (execed && last_use(*facts) > *execed);
}

/// A listener is handed on by design (systemd, inetd, restarts without downtime): but then somebody waits for connections.
[[nodiscard]] bool is_kept_in_vain(const SocketRecord& listener, const Tracker& tracker) {
  const SocketFacts* facts = tracker.facts(listener.id);
  return facts != nullptr && facts->waiter == Waiter::kNobody;
}

/// The creator went on after the other program had begun: that was not started to take its place, as by a manager of services.
[[nodiscard]] bool served_beside(const ProcessId& holder, const SocketRecord& listener, const Tracker& tracker) {
  const auto execed = tracker.processes().last_exec(holder);
  const auto end = tracker.processes().end_of(owner_of(listener));
  return execed && end && *end - *execed >= std::chrono::seconds(1);
}

}  // namespace

std::optional<HandOver> left_over(const SocketRecord& socket, const Tracker& tracker) {
  const bool listens = socket.state == TcpState::kListen;
  if (!tracker.processes().end_of(owner_of(socket))) return std::nullopt;
  if (listens && !is_kept_in_vain(socket, tracker)) return std::nullopt;
  if (socket.origin == Origin::kSocketPair) return std::nullopt;  // that is what they are made for
  std::optional<HandOver> worst;
  const Protocol protocol = socket.addresses.protocol;
  for (const Holder& holder : socket.holders) {
    const HandOver how = hand_over_to(holder.process, socket, tracker.processes());
    const bool standard = holder.via == Via::kDescriptor && holder.fd.value <= kLastStandardFd;
    // As inetd does it: standard input and output are what a new program does know of.
    if (standard && (how == HandOver::kForkExec || how == HandOver::kFork)) return std::nullopt;
    if (how == HandOver::kNone || how == HandOver::kExec) return std::nullopt;
    if (listens && (how != HandOver::kForkExec || !served_beside(holder.process, socket, tracker))) return std::nullopt;
    if (is_used_by(holder.process, socket, tracker)) return std::nullopt;
    if (!worst || leftover_confidence(how, protocol) > leftover_confidence(*worst, protocol)) worst = how;
  }
  return worst;
}

std::vector<const SocketRecord*> sure_leftovers(const Tracker& tracker, const JudgeOptions& options) {
  std::vector<const SocketRecord*> sure;
  if (tracker.last_snapshot() == 0) return sure;
  for (const auto& [id, socket] : tracker.sockets()) {
    if (socket.snapshot < tracker.last_snapshot() || socket.unaccepted) continue;
    const auto how = left_over(socket, tracker);
    if (how && leftover_confidence(*how, socket.addresses.protocol) >= options.leak_confidence) sure.push_back(&socket);
  }
  std::sort(sure.begin(), sure.end(), [](const SocketRecord* a, const SocketRecord* b) {
    return std::tie(a->created, a->id) < std::tie(b->created, b->id);
  });
  return sure;
}

}  // namespace sockleak
