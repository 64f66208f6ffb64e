// Tracker state -> findings: views of sites, rules over them, one finding per accused site. Everything is sorted by
// values that come from events, so hash tables' order never shows.
#include "judge/judge.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

namespace sockleak {
namespace {

using OpenSockets = std::map<SiteKey, std::vector<const SocketRecord*>>;

// Confidences are sums of decimal fractions: 0.5 + 6 * 0.05 must count as 0.8.
constexpr double kRounding = 1e-9;

[[nodiscard]] bool older(const SocketRecord* a, const SocketRecord* b) {
  return std::tie(a->created, a->id) < std::tie(b->created, b->id);
}

/// The sockets that the last complete snapshot, or a later one as far as it went, still found open.
[[nodiscard]] OpenSockets confirmed_sockets(const Tracker& tracker) {
  OpenSockets open;
  if (tracker.last_snapshot() == 0) return open;
  for (const auto& [id, socket] : tracker.sockets()) {
    if (socket.snapshot < tracker.last_snapshot() || socket.unaccepted) continue;
    open[Tracker::site_of(socket)].push_back(&socket);
  }
  for (auto& [key, sockets] : open) std::sort(sockets.begin(), sockets.end(), older);
  return open;
}

/// 1 - the probability that every rule is wrong, were they independent.
[[nodiscard]] double together(const std::vector<Accusation>& accusations) {
  if (accusations.size() == 1) return accusations.front().evidence.confidence;
  double all_wrong = 1;
  for (const Accusation& accusation : accusations) all_wrong *= 1 - accusation.evidence.confidence;
  return 1 - all_wrong;
}

void add_leaked(Finding& finding, const std::vector<Accusation>& accusations) {
  std::vector<const SocketRecord*> accused;
  std::uint64_t not_kept = 0;
  for (const Accusation& accusation : accusations) {
    accused.insert(accused.end(), accusation.sockets.begin(), accusation.sockets.end());
    if (accusation.count > accusation.sockets.size()) not_kept += accusation.count - accusation.sockets.size();
  }
  std::sort(accused.begin(), accused.end(), older);
  const auto same = [](const SocketRecord* a, const SocketRecord* b) { return a->id == b->id; };
  accused.erase(std::unique(accused.begin(), accused.end(), same), accused.end());
  finding.sockets.reserve(accused.size());
  for (const SocketRecord* socket : accused) finding.sockets.push_back(*socket);
  finding.leaked = accused.size() + not_kept;
}

/// How siblings are closed. What was left to the kernel at exit is accused then, and no sibling.
void add_closed(Finding& finding, const Site& site, const JudgeOptions& options) {
  std::uint64_t at_exit = options.at_exit ? site.open_at_exit : 0;
  finding.closed = site.closed - at_exit;
  for (const auto& [path, count] : site.close_paths) {
    const std::uint64_t hidden = path.how == CloseHow::kExit ? std::min(at_exit, count) : 0;
    at_exit -= hidden;
    if (count != hidden) finding.closed_at.emplace_back(path, count - hidden);
  }
  std::sort(finding.closed_at.begin(), finding.closed_at.end(),
            [](const auto& a, const auto& b) { return std::tie(b.second, a.first) < std::tie(a.second, b.first); });
}

// Of a session shorter than this a rate per minute would be a fancy, not a measurement.
constexpr Duration kShortestForRate = std::chrono::seconds(10);

[[nodiscard]] double per_minute(std::uint64_t count, const Tracker& tracker, KernelTime now) {
  const Duration session = now - tracker.session_begin();
  if (tracker.session_begin().ns == 0 || session < kShortestForRate) return 0;
  return static_cast<double>(count) * 60 / seconds(session);
}

[[nodiscard]] bool worse(const Finding& a, const Finding& b) {
  return std::tie(a.verdict, b.leaked, b.created, a.site) < std::tie(b.verdict, a.leaked, a.created, b.site);
}

}  // namespace

std::vector<Finding> judge(const Tracker& tracker, KernelTime now, const JudgeOptions& options) {
  const std::array rules{make_close_wait_rule(), make_open_at_exit_rule(), make_growth_rule()};
  const OpenSockets open = confirmed_sockets(tracker);
  const std::vector<const SocketRecord*> none;
  std::vector<Finding> findings;
  for (const auto& [key, site] : tracker.sites()) {
    const auto confirmed = open.find(key);
    const SiteView view{key, site, confirmed == open.end() ? none : confirmed->second, now};
    std::vector<Accusation> accusations;
    for (const auto& rule : rules) {
      if (auto accusation = rule->inspect(view, options)) accusations.push_back(std::move(*accusation));
    }
    if (accusations.empty()) continue;
    Finding finding;
    finding.site = key;
    finding.confidence = together(accusations);
    finding.verdict = finding.confidence + kRounding >= options.leak_confidence ? Verdict::kLeak : Verdict::kSuspect;
    finding.created = site.created;
    add_leaked(finding, accusations);
    add_closed(finding, site, options);
    finding.leaked_per_minute = per_minute(finding.leaked, tracker, now);
    for (Accusation& accusation : accusations) finding.evidence.push_back(std::move(accusation.evidence));
    finding.median_lifetime = site.lifetimes.quantile(0.5);
    finding.longest_lifetime = site.lifetimes.longest();
    findings.push_back(std::move(finding));
  }
  std::sort(findings.begin(), findings.end(), worse);
  return findings;
}

}  // namespace sockleak
