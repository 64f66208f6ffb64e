// outlived-creator: the process that made the socket has ended, and another one keeps it open.
#include <algorithm>
#include <map>
#include <memory>
#include <string>

#include "base/text.hpp"
#include "judge/leftovers.hpp"
#include "track/hand_over.hpp"

namespace sockleak {
namespace {

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

class OutlivedCreatorRule final : public Rule {
 public:
  [[nodiscard]] std::optional<Accusation> inspect(const SiteView& view, const JudgeOptions& options) const override {
    Accusation accusation;
    std::map<HandOver, std::uint64_t> ways;
    double confidence = 0;
    for (const SocketRecord* socket : view.open) {
      const auto how = left_over(*socket, view.tracker);
      if (!how) continue;
      const auto end = view.tracker.processes().end_of(owner_of(*socket));
      // Who just took over may still be at it; what came along by mistake is wrong from the start.
      if (*how != HandOver::kForkExec && view.now - *end < options.older) continue;
      ++ways[*how];
      confidence = std::max(confidence, leftover_confidence(*how, view.key.protocol));
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
