// outlived-creator: the process that made the socket has ended, and another one keeps it open.
#include <algorithm>
#include <map>
#include <memory>
#include <string>

#include "base/text.hpp"
#include "judge/leftovers.hpp"
#include "judge/rule.hpp"
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
  void inspect(const SiblingsView& view, const JudgeOptions& options, std::vector<Charge>& charges) const override {
    Charge charge{.rule = "outlived-creator", .confidence = 0, .lives = {}, .more = 0, .verdict = Verdict::kInherited, .text = {}};
    for (const auto* lives : {&view.siblings.open, &view.siblings.open_listeners}) {
      for (const Life& life : *lives) {
        const auto how = left_over(*life.socket, view.tracker);
        if (!how) continue;
        const auto end = view.tracker.processes().end_of(owner_of(*life.socket));
        // Who just took over may still be at it; what came along by mistake is wrong from the start.
        if (*how != HandOver::kForkExec && view.now - *end < options.older) continue;
        charge.confidence = std::max(charge.confidence, leftover_confidence(*how, view.siblings.key.protocol));
        charge.lives.push_back(&life);
      }
    }
    if (charge.lives.empty()) return;
    charge.text = [&tracker = view.tracker](const Lives& lives) { return text_of(lives, tracker); };
    charges.push_back(std::move(charge));
  }

 private:
  [[nodiscard]] static std::string text_of(const Lives& lives, const Tracker& tracker) {
    std::map<HandOver, std::uint64_t> ways;
    for (const Life* life : lives) ++ways[left_over(*life->socket, tracker).value_or(HandOver::kUnknown)];
    std::string text = "the process that opened " + std::string(lives.size() == 1 ? "it" : "them") + " has ended: ";
    const char* separator = "";
    for (const auto& [how, count] : ways) {
      text += separator + count_text(count) + ' ' + words_for(how);
      separator = ", ";
    }
    return text;
  }
};

}  // namespace

std::unique_ptr<Rule> make_outlived_creator_rule() { return std::make_unique<OutlivedCreatorRule>(); }

}  // namespace sockleak
