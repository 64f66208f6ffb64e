// How a socket was handed over tells how likely it is kept by mistake: a program that was executed cannot know a
// descriptor that just came along, while one that received it asked for it. Listeners are handed on by design (systemd,
// inetd, restarts without downtime).
#include "judge/leftovers.hpp"

#include <algorithm>
#include <tuple>

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

std::optional<HandOver> left_over(const SocketRecord& socket, const Tracker& tracker) {
  if (socket.state == TcpState::kListen || !tracker.processes().end_of(owner_of(socket))) return std::nullopt;
  if (socket.origin == Origin::kSocketPair) return std::nullopt;  // that is what they are made for
  std::optional<HandOver> worst;
  const Protocol protocol = socket.addresses.protocol;
  for (const Holder& holder : socket.holders) {
    const HandOver how = hand_over_to(holder.process, socket, tracker.processes());
    const bool standard = holder.via == Via::kDescriptor && holder.fd.value <= kLastStandardFd;
    // As inetd does it: standard input and output are what a new program does know of.
    if (standard && (how == HandOver::kForkExec || how == HandOver::kFork)) return std::nullopt;
    if (how == HandOver::kNone || how == HandOver::kExec) return std::nullopt;
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
