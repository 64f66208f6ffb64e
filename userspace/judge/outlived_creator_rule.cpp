// outlived-creator: the process that made the socket has ended, and another one keeps it open. How it got it tells how
// likely that is a mistake: a program that was executed cannot know a descriptor that just came along, while one that
// received it asked for it. Listeners are handed on by design (systemd, inetd, restarts without downtime).
#include <algorithm>
#include <map>
#include <memory>
#include <string>

#include "base/text.hpp"
#include "judge/rule.hpp"
#include "track/hand_over.hpp"

namespace sockleak {
namespace {

constexpr std::int32_t kLastStandardFd = 2;

[[nodiscard]] double confidence_of(HandOver how) {
  switch (how) {
    case HandOver::kForkExec:
      return 0.9;
    case HandOver::kFork:
      return 0.5;
    default:
      return 0.4;
  }
}

[[nodiscard]] const char* words_for(HandOver how) {
  switch (how) {
    case HandOver::kForkExec:
      return "inherited through fork and exec without CLOEXEC";
    case HandOver::kFork:
      return "inherited through fork";
    case HandOver::kScmRights:
      return "received through SCM_RIGHTS";
    case HandOver::kPidfdGetfd:
      return "taken with pidfd_getfd";
    case HandOver::kSharedFiles:
      return "in a descriptor table that was shared";
    default:
      return "handed over in a way that was not seen";
  }
}

/// The hand-over that says most against the holders; nullopt if one of them holds the socket for good reason.
[[nodiscard]] std::optional<HandOver> worst_hand_over(const SocketRecord& socket, const Tracker& tracker) {
  std::optional<HandOver> worst;
  for (const Holder& holder : socket.holders) {
    const HandOver how = hand_over_to(holder.process, socket, tracker.processes());
    const bool standard = holder.via == Via::kDescriptor && holder.fd.value <= kLastStandardFd;
    // As inetd does it: standard input and output are what a new program does know of.
    if (standard && (how == HandOver::kForkExec || how == HandOver::kFork)) return std::nullopt;
    if (how == HandOver::kNone || how == HandOver::kExec) return std::nullopt;
    if (!worst || confidence_of(how) > confidence_of(*worst)) worst = how;
  }
  return worst;
}

class OutlivedCreatorRule final : public Rule {
 public:
  [[nodiscard]] std::optional<Accusation> inspect(const SiteView& view, const JudgeOptions& options) const override {
    Accusation accusation;
    std::map<HandOver, std::uint64_t> ways;
    double confidence = 0;
    for (const SocketRecord* socket : view.open) {
      if (socket->state == TcpState::kListen) continue;
      const auto end = view.tracker.processes().end_of(owner_of(*socket));
      if (!end) continue;
      const auto how = worst_hand_over(*socket, view.tracker);
      if (!how) continue;
      // Who just took over may still be at it; what came along by mistake is wrong from the start.
      if (*how != HandOver::kForkExec && view.now - *end < options.older) continue;
      ++ways[*how];
      confidence = std::max(confidence, confidence_of(*how));
      accusation.sockets.push_back(socket);
    }
    if (accusation.sockets.empty()) return std::nullopt;
    accusation.count = accusation.sockets.size();
    std::string text = "the process that opened " + std::string(accusation.count == 1 ? "it" : "them") + " has ended: ";
    const char* separator = "";
    for (const auto& [how, count] : ways) {
      text += separator + count_text(count) + ' ' + words_for(how);
      separator = ", ";
    }
    accusation.evidence = {"outlived-creator", std::move(text), confidence};
    return accusation;
  }
};

}  // namespace

std::unique_ptr<Rule> make_outlived_creator_rule() {
  return std::make_unique<OutlivedCreatorRule>();
}

}  // namespace sockleak
