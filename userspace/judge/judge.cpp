// Tracker state -> findings: views of sites, rules over them, one finding per accused site. Everything is sorted by
// values that come from events, so hash tables' order never shows.
#include "judge/judge.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string_view>
#include <tuple>
#include <utility>

#include "track/hand_over.hpp"

namespace sockleak {
namespace {

// Confidences are sums of decimal fractions: 0.5 + 6 * 0.05 must count as 0.8.
constexpr double kRounding = 1e-9;

[[nodiscard]] bool older(const SocketRecord* a, const SocketRecord* b) {
  return std::tie(a->created, a->id) < std::tie(b->created, b->id);
}

/// What the rules charge sockets of one path with.
struct Case {
  std::vector<const Charge*> charges;
  std::vector<Lives> lives;  // of each charge: those that came this way
};

/// 1 - the probability that every rule is wrong, were they independent. What one rule says of several is not; nor is a remark
/// independent of what else is said.
[[nodiscard]] double together(const Case& about) {
  std::map<std::string_view, double> rules;
  double remark = 0;
  for (const Charge* charge : about.charges) {
    double& most = charge->remark ? remark : rules[charge->rule];
    most = std::max(most, charge->confidence);
  }
  if (rules.empty()) return remark;
  double all_wrong = 1;
  for (const auto& [rule, confidence] : rules) all_wrong *= 1 - confidence;
  const double together = rules.size() == 1 ? rules.begin()->second : 1 - all_wrong;
  return std::max(together, remark);
}

void add_leaked(Finding& finding, const std::vector<Lives>& charged, std::uint64_t not_kept, const ProcessTree& processes) {
  std::vector<const SocketRecord*> accused;
  for (const Lives& lives : charged) {
    for (const Life* life : lives) accused.push_back(life->socket);
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
void add_closed(std::map<ClosePath, std::uint64_t>& closed_at, const Site& site, const JudgeOptions& options) {
  std::uint64_t at_exit = options.at_exit ? site.open_at_exit : 0;
  for (const auto& [path, count] : site.close_paths) {
    const std::uint64_t hidden = path.how == CloseHow::kExit ? std::min(at_exit, count) : 0;
    at_exit -= hidden;
    if (count != hidden) closed_at[path] += count - hidden;
  }
}

/// How those that came the same way are closed; if none is, how all siblings of the same place are, whoever called it.
void add_siblings(Finding& finding, const Siblings& siblings, const PathGroup& own, const JudgeOptions& options) {
  std::map<ClosePath, std::uint64_t> closed_at;
  const auto add = [&](const PathGroup& path) {
    for (const Site* site : path.sites) {
      add_closed(closed_at, *site, options);
      finding.longest_lifetime = std::max(finding.longest_lifetime, site->lifetimes.longest());
    }
  };
  add(own);
  if (closed_at.empty()) {
    for (const auto& [id, path] : siblings.paths) add(path);
  }
  finding.closed_at.assign(closed_at.begin(), closed_at.end());
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

/// Of the closed sockets of the site that made most: medians of several cannot be added up.
[[nodiscard]] Duration median_lifetime(const Siblings& siblings, const PathGroup& own) {
  const Site* most = nullptr;
  const auto look = [&](const PathGroup& path) {
    for (const Site* site : path.sites) {
      if (most == nullptr || site->lifetimes.count() > most->lifetimes.count()) most = site;
    }
  };
  look(own);
  if (most == nullptr || most->lifetimes.count() == 0) {
    for (const auto& [id, path] : siblings.paths) look(path);
  }
  return most == nullptr ? Duration::zero() : most->lifetimes.quantile(0.5);
}

[[nodiscard]] std::uint64_t born_in_session(const Finding& finding, KernelTime begin) {
  return static_cast<std::uint64_t>(std::count_if(finding.sockets.begin(), finding.sockets.end(), [&](const SocketRecord& socket) {
    return socket.origin != Origin::kBeforeAttach && socket.created >= begin;
  }));
}

[[nodiscard]] Verdict verdict_of(const Case& about, std::uint64_t leaked, bool counts) {
  for (const Verdict special : {Verdict::kInherited, Verdict::kStuck}) {
    for (std::size_t i = 0; i < about.charges.size(); ++i) {
      if (about.charges[i]->verdict == special && about.lives[i].size() == leaked) return special;
    }
  }
  return counts ? Verdict::kLeak : Verdict::kSuspect;
}

[[nodiscard]] bool worse(const Finding& a, const Finding& b) {
  return std::tie(a.verdict, b.leaked, b.created, a.site) < std::tie(b.verdict, a.leaked, a.created, b.site);
}

class Judgement {
 public:
  Judgement(const Births& births, const Tracker& tracker, KernelTime now, const JudgeOptions& options, const JudgeNames& names)
      : births_(births), tracker_(tracker), now_(now), options_(options), names_(names) {}

  void add(const Siblings& siblings) {
    const auto passed = passed_over(siblings, births_, tracker_, now_, options_.older);
    const Survivors survivors = sockleak::survivors(siblings, options_.older);
    const SiblingsView view{siblings, passed, survivors, tracker_, now_, names_};
    std::vector<Charge> charges;
    for (const auto& rule : rules_) rule->inspect(view, options_, charges);
    add_cases(siblings, charges);
    for (const auto& [id, path] : siblings.paths) add_queue(path);
  }

  [[nodiscard]] std::vector<Finding> take() {
    std::sort(findings_.begin(), findings_.end(), worse);
    return std::move(findings_);
  }

 private:
  void add_cases(const Siblings& siblings, const std::vector<Charge>& charges) {
    std::map<std::uint64_t, Case> cases;
    for (const Charge& charge : charges) {
      std::map<std::uint64_t, Lives> by_path;
      for (const Life* life : charge.lives) by_path[path_of(*life->socket, names_.of_stack)].push_back(life);
      for (auto& [id, lives] : by_path) {
        Case& about = cases[id];
        about.charges.push_back(&charge);
        about.lives.push_back(std::move(lives));
      }
    }
    for (const auto& [id, about] : cases) findings_.push_back(finding_of(siblings, siblings.paths.at(id), about));
  }

  [[nodiscard]] Finding finding_of(const Siblings& siblings, const PathGroup& path, const Case& about) const {
    Finding finding;
    finding.site = path.site;
    finding.confidence = together(about);
    for (const SiteKey& key : path.keys) {
      if (key != path.site) finding.merged.push_back(key);
    }
    for (const Site* site : path.sites) {
      finding.created += site->created;
      finding.closed += site->closed - (options_.at_exit ? site->open_at_exit : 0);
    }
    add_leaked(finding, about.lives, not_kept(path, about), tracker_.processes());
    add_siblings(finding, siblings, path, options_);
    finding.median_lifetime = median_lifetime(siblings, path);
    finding.verdict = verdict_of(about, finding.leaked, finding.confidence + kRounding >= options_.leak_confidence);
    finding.counts = finding.verdict != Verdict::kStuck && finding.confidence + kRounding >= options_.leak_confidence;
    if (path.site.origin != Origin::kBeforeAttach) {
      finding.leaked_per_minute = per_minute(born_in_session(finding, tracker_.session_begin()) + not_kept(path, about), tracker_, now_);
    }
    for (std::size_t i = 0; i < about.charges.size(); ++i) {
      finding.evidence.push_back({about.charges[i]->rule, about.charges[i]->text(about.lives[i]), about.charges[i]->confidence});
    }
    return finding;
  }

  /// Where only the first of many were kept, the others are what these are.
  [[nodiscard]] static std::uint64_t not_kept(const PathGroup& path, const Case& about) {
    const bool any = std::any_of(about.charges.begin(), about.charges.end(), [](const Charge* charge) { return charge->more != 0; });
    std::uint64_t more = 0;
    for (const Site* site : path.sites) more += any ? site->open_at_exit - site->at_exit.size() : 0;
    return more;
  }

  /// Connections that nobody has accepted are no leak of descriptors.
  void add_queue(const PathGroup& path) {
    std::vector<Life> lives;
    const auto charge = unaccepted(path, tracker_, now_, options_, lives);
    if (!charge) return;
    Finding finding;
    finding.site = path.site;
    finding.verdict = Verdict::kOwnerless;
    finding.confidence = charge->confidence;
    add_leaked(finding, {charge->lives}, 0, tracker_.processes());
    finding.created = finding.leaked;
    for (const SocketRecord* listener : path.open) finding.listeners.push_back(*listener);
    finding.evidence.push_back({charge->rule, charge->text(charge->lives), charge->confidence});
    findings_.push_back(std::move(finding));
  }

  const Births& births_;
  const Tracker& tracker_;
  KernelTime now_;
  const JudgeOptions& options_;
  const JudgeNames& names_;
  std::array<std::unique_ptr<Rule>, 12> rules_{
      make_close_wait_rule(), make_open_at_exit_rule(), make_abandoned_rule(), make_survivor_rule(), make_invisible_rule(),
      make_given_up_rule(), make_unread_rule(), make_reclaimed_late_rule(), make_growth_rule(), make_outlived_creator_rule(),
      make_unused_rule(), make_silent_rule()};
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> judge(const Tracker& tracker, KernelTime now, const JudgeOptions& options, const JudgeNames& names) {
  const std::vector<Siblings> all = all_siblings(tracker, now, options.at_exit, names.of_stack);
  const Births births(all);
  Judgement judgement(births, tracker, now, options, names);
  for (const Siblings& siblings : all) judgement.add(siblings);
  return judgement.take();
}

}  // namespace sockleak
