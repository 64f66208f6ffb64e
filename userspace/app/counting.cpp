#include "app/counting.hpp"

#include <algorithm>

namespace sockleak {

const std::vector<std::string>& accusing_rules() {
  static const std::vector<std::string> rules{
      "abandoned",        "close-wait",     "given-up", "growth",   "invisible",  "inherited", "open-at-exit",
      "outlived-creator", "reclaimed-late", "silent",   "survivor", "unaccepted", "unread",    "unused"};
  return rules;
}

Counting::Counting(const Session& session, const Tracker& tracker) : session_(session) {
  if (session.warmup > Duration::zero() && tracker.session_begin().ns != 0) {
    warm_ = tracker.session_begin() + session.warmup;
  }
  counting_.suspects = session.fail_on_suspect;
  counting_.only = session.only;
  counting_.warmup_s = seconds(session.warmup);
  counting_.max_leaks = session.max_leaks;
}

bool Counting::leave_out_warmup(Finding& finding) {
  if (warm_.ns == 0 || finding.verdict == Verdict::kPool || finding.verdict == Verdict::kOwnerless) return true;
  const auto gone =
      std::erase_if(finding.sockets, [this](const SocketRecord& socket) { return socket.created < warm_; });
  counting_.left_out += gone;
  finding.leaked -= std::min<std::uint64_t>(gone, finding.leaked);
  return finding.leaked != 0;
}

void Counting::count(const Finding& finding) {
  if (!finding.counts && !(session_.fail_on_suspect && finding.verdict == Verdict::kSuspect)) return;
  const auto wanted = [this](const Evidence& evidence) {
    return std::find(session_.only.begin(), session_.only.end(), evidence.rule) != session_.only.end();
  };
  if (!session_.only.empty() && std::none_of(finding.evidence.begin(), finding.evidence.end(), wanted)) return;
  counting_.counted += finding.leaked;
}

std::optional<ReportCounting> Counting::result() const {
  return session_.check ? std::optional(counting_) : std::nullopt;
}

}  // namespace sockleak
