// Tracker state -> findings: views of sites, rules over them, one finding per accused site. Everything is sorted by
// values that come from events, so hash tables' order never shows.
#include "judge/judge.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

#include "track/hand_over.hpp"

namespace sockleak {
namespace {

using Sockets = std::vector<const SocketRecord*>;

/// By site: the sockets that the last complete snapshot, or a later one as far as it went, still found open, and those
/// that it found in the accept queues of the site's listeners.
struct Confirmed {
  std::map<SiteKey, Sockets> open, waiting;
};

// Confidences are sums of decimal fractions: 0.5 + 6 * 0.05 must count as 0.8.
constexpr double kRounding = 1e-9;

[[nodiscard]] bool older(const SocketRecord* a, const SocketRecord* b) {
  return std::tie(a->created, a->id) < std::tie(b->created, b->id);
}

[[nodiscard]] Confirmed confirmed_sockets(const Tracker& tracker) {
  Confirmed confirmed;
  if (tracker.last_snapshot() == 0) return confirmed;
  for (const auto& [id, socket] : tracker.sockets()) {
    if (socket.snapshot < tracker.last_snapshot()) continue;
    if (!socket.unaccepted) {
      confirmed.open[Tracker::site_of(socket)].push_back(&socket);
    } else if (const auto listener = tracker.sockets().find(socket.listener); listener != tracker.sockets().end()) {
      confirmed.waiting[Tracker::site_of(listener->second)].push_back(&socket);
    }
  }
  for (auto* sites : {&confirmed.open, &confirmed.waiting}) {
    for (auto& [key, sockets] : *sites) std::sort(sockets.begin(), sockets.end(), older);
  }
  return confirmed;
}

/// 1 - the probability that every rule is wrong, were they independent.
[[nodiscard]] double together(const std::vector<Accusation>& accusations) {
  if (accusations.size() == 1) return accusations.front().evidence.confidence;
  double all_wrong = 1;
  for (const Accusation& accusation : accusations) all_wrong *= 1 - accusation.evidence.confidence;
  return 1 - all_wrong;
}

void add_leaked(Finding& finding, const std::vector<Accusation>& accusations, const ProcessTree& processes) {
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
  for (const SocketRecord* socket : accused) {
    SocketRecord& kept = finding.sockets.emplace_back(*socket);
    for (Holder& holder : kept.holders) holder.handed_over = hand_over_to(holder.process, kept, processes);
  }
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

[[nodiscard]] const Sockets& of_site(const std::map<SiteKey, Sockets>& sites, const SiteKey& key) {
  static const Sockets none;
  const auto found = sites.find(key);
  return found == sites.end() ? none : found->second;
}

/// Whether one rule alone accuses every socket that is accused at all.
[[nodiscard]] bool all_by(const char* rule, const std::vector<Accusation>& accusations, std::uint64_t leaked) {
  return std::any_of(accusations.begin(), accusations.end(), [&](const Accusation& accusation) {
    return accusation.evidence.rule == rule && accusation.count == leaked;
  });
}

[[nodiscard]] Finding finding_of(const SiteView& view, std::vector<Accusation> accusations,
                                 const JudgeOptions& options) {
  Finding finding;
  finding.site = view.key;
  finding.confidence = together(accusations);
  finding.created = view.site.created;
  add_leaked(finding, accusations, view.tracker.processes());
  add_closed(finding, view.site, options);
  finding.counts = finding.confidence + kRounding >= options.leak_confidence;
  finding.verdict = all_by("outlived-creator", accusations, finding.leaked) ? Verdict::kInherited
                    : finding.counts                                        ? Verdict::kLeak
                                                                            : Verdict::kSuspect;
  finding.leaked_per_minute = per_minute(finding.leaked, view.tracker, view.now);
  for (Accusation& accusation : accusations) finding.evidence.push_back(std::move(accusation.evidence));
  finding.median_lifetime = view.site.lifetimes.quantile(0.5);
  finding.longest_lifetime = view.site.lifetimes.longest();
  return finding;
}

/// Connections that nobody has accepted are no leak of descriptors.
[[nodiscard]] Finding finding_of_queue(const SiteView& view, Accusation accusation) {
  Finding finding;
  finding.site = view.key;
  finding.verdict = Verdict::kOwnerless;
  finding.confidence = accusation.evidence.confidence;
  add_leaked(finding, {accusation}, view.tracker.processes());
  finding.created = finding.leaked;
  for (const SocketRecord* listener : view.open) finding.listeners.push_back(*listener);
  finding.evidence.push_back(std::move(accusation.evidence));
  return finding;
}

[[nodiscard]] bool worse(const Finding& a, const Finding& b) {
  return std::tie(a.verdict, b.leaked, b.created, a.site) < std::tie(b.verdict, a.leaked, a.created, b.site);
}

}  // namespace

std::vector<Finding> judge(const Tracker& tracker, KernelTime now, const JudgeOptions& options,
                           const IsPooled& is_pooled) {
  const std::array rules{make_close_wait_rule(), make_open_at_exit_rule(), make_growth_rule(), make_invisible_rule(),
                         make_outlived_creator_rule()};
  const auto unaccepted = make_unaccepted_rule();
  const Confirmed confirmed = confirmed_sockets(tracker);
  std::vector<Finding> findings;
  for (const auto& [key, site] : tracker.sites()) {
    const SiteView view{key, site, of_site(confirmed.open, key), of_site(confirmed.waiting, key), tracker, now,
                        is_pooled};
    std::vector<Accusation> accusations;
    for (const auto& rule : rules) {
      if (auto accusation = rule->inspect(view, options)) accusations.push_back(std::move(*accusation));
    }
    if (!accusations.empty()) findings.push_back(finding_of(view, std::move(accusations), options));
    // Other sockets than the site's own: a finding of its own.
    if (auto waiting = unaccepted->inspect(view, options)) {
      findings.push_back(finding_of_queue(view, std::move(*waiting)));
    }
  }
  std::sort(findings.begin(), findings.end(), worse);
  return findings;
}

}  // namespace sockleak
