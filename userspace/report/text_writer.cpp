// The report for people. One finding is a headline and rows with a label column; then one line of totals.
// Colours are added around finished pieces only, so that widths are counted without them.
#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <string_view>

#include "base/text.hpp"
#include "report/frame_text.hpp"
#include "report/phrases.hpp"
#include "report/remarks.hpp"
#include "report/remedy.hpp"
#include "report/writers.hpp"

namespace sockleak {
namespace {

constexpr std::size_t kWidth = 120;      // whatever the terminal: a report looks the same in a log and in a ticket
constexpr std::size_t kHeadlineGap = 3;  // at least, before the confidence
constexpr std::size_t kLabelWidth = 13;
constexpr std::size_t kBriefClosePaths = 3;
constexpr std::size_t kBriefOwnerless = 3;
constexpr std::size_t kBriefActions = 3;  // of each outcome

class TextReport {
 public:
  explicit TextReport(const TextOptions& options) : verbose_(options.verbose), color_(options.color) {}

  void finding(const ReportFinding& finding) {
    headline(finding);
    row("opened by", creators_text(finding, verbose_));
    out_ += stack_lines(finding.created_at, finding.culprit, verbose_);
    if (const std::string hint = names_hint(finding.created_at); !hint.empty()) row("hint", hint);
    goroutine(finding);
    if (!finding.caller_why.empty()) row("called from", "an unknown place: " + escape_terminal(finding.caller_why));
    if (finding.listener_created_at) listener(*finding.listener_created_at, finding.listener_culprit);
    siblings(finding);
    touches(finding);
    if (std::string holders = holders_text(finding, verbose_); !holders.empty()) row("held by", holders);
    evidence(finding.finding);
    row("remedy", remedy_text(finding));
    if (verbose_) {
      row("site", escape_terminal(finding.site));
      for (const ReportSocket& socket : finding.sockets) {
        row(&socket == &finding.sockets.front() ? "sockets" : "", socket_text(socket));
      }
    }
    out_ += '\n';
  }

  void ownerless(const ReportOwnerless& group) {
    out_ += painted("33", "OWNERLESS") + "  " + counted(group.count, "socket", "sockets") + " without a descriptor" +
            kDot + to_string(group.cause) + '\n';
    if (!group.sockets.empty() && !group.sockets.front().evidence.empty()) {
      row("evidence", escape_terminal(group.sockets.front().evidence));
    }
    if (remedy_for(group.cause)[0] != '\0') row("remedy", remedy_for(group.cause));
    const std::size_t shown = verbose_ ? group.sockets.size() : std::min(group.sockets.size(), kBriefOwnerless);
    for (std::size_t i = 0; i < shown; ++i) row(i == 0 ? "sockets" : "", socket_text(group.sockets[i].socket));
    if (shown < group.count) row("", "… " + count_text(group.count - shown) + " more");
    out_ += '\n';
  }

  void actions(const ReportActions& actions) {
    out_ += painted("1", actions.dry_run ? "WOULD DESTROY" : "DESTROY") + "  " +
            counted(actions.sockets.size(), "leftover", "leftovers") + " of processes that have ended\n";
    std::map<std::string, std::vector<const ReportAction*>> outcomes;
    for (const ReportAction& action : actions.sockets) outcomes[outcome_text(action)].push_back(&action);
    for (const auto& [outcome, sockets] : outcomes) {
      row("", escape_terminal(count_text(sockets.size()) + ' ' + outcome));
      const std::size_t shown = verbose_ ? sockets.size() : std::min(sockets.size(), kBriefActions);
      for (std::size_t i = 0; i < shown; ++i) row("", "  " + action_text(*sockets[i]));
      if (shown < sockets.size()) row("", "  … " + count_text(sockets.size() - shown) + " more");
    }
    out_ += '\n';
  }

  void ports(const Report& report) {
    const std::vector<std::string> crowded = crowded_ports(report);
    for (const std::string& sentence : crowded) out_ += painted("33", "PORTS") + "  " + sentence + '\n';
    if (!crowded.empty()) row("remedy", "keep connections and use them again; close what is leaked; more addresses or ports\n");
  }

  void not_shown(std::size_t count) { out_ += "… " + counted(count, "more site", "more sites") + " not shown\n\n"; }

  void total(const Report& report) {
    std::size_t leaks = 0;
    std::size_t suspects = 0;
    for (const ReportFinding& finding : report.findings) {
      const Finding& judged = finding.finding;
      if (judged.verdict == Verdict::kPool || judged.verdict == Verdict::kOwnerless || judged.verdict == Verdict::kStuck || judged.leaked == 0) {
        continue;
      }
      ++(judged.verdict == Verdict::kLeak || judged.counts ? leaks : suspects);
    }
    if (leaks != 0 || report.leaked != 0) {
      out_ += counted(leaks, "site", "sites") + ", " + counted(report.leaked, "leaked socket", "leaked sockets");
    } else {
      out_ += suspects == 0 && report.account.undecided == 0 ? "no leak found" : "no leak proven";
    }
    if (suspects != 0) out_ += kDot + counted(suspects, "suspect site", "suspect sites");
    out_ += kDot + count_text(report.created) + " created, " + count_text(report.closed) + " closed";
    if (leaks == 0) out_ += ", " + open_text(report);
    out_ += kDot;
    completeness(report);
  }

  /// What would decide it.
  void undecided(const Report& report) {
    const std::uint64_t count = report.account.undecided;
    if (count == 0) return;
    out_ += "  " + counted(count, "open socket lies", "open sockets lie") +
            " idle without a verdict: nothing was opened or closed beside them that would tell. Watch longer, or while the program "
            "is at work.\n";
  }

  void remarks(const Report& report) {
    for (const std::string& remark : sockleak::remarks(report)) out_ += remark + '\n';
  }

  void details(const Report& report) {
    for (std::size_t i = 0; i < kCounterFacts.size(); ++i) {
      if (kCounterFacts[i].breaks_promise || report.counters.at(i) == 0) continue;
      row("note", count_text(report.counters.at(i)) + ' ' + std::string(kCounterFacts[i].sentence));
    }
    std::string hooks;
    for (const HookChoice& choice : report.hooks) {
      if (!hooks.empty()) hooks += kDot;
      hooks += escape_terminal(choice.need) + ' ' + escape_terminal(choice.hook);
    }
    if (!hooks.empty()) row("hooks", hooks);
  }

  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  [[nodiscard]] std::string painted(const char* code, std::string_view text) const {
    if (!color_) return std::string(text);
    return std::string("\x1b[") + code + 'm' + std::string(text) + "\x1b[0m";
  }

  void row(std::string_view label, std::string_view text) {
    out_ += "  ";
    if (!label.empty()) out_ += painted("2", label);
    out_.append(kLabelWidth - label.size(), ' ').append(text) += '\n';
  }

  void headline(const ReportFinding& finding) {
    const Finding& judged = finding.finding;
    const std::string word = upper(to_string(judged.verdict));
    std::string text = "  ";
    if (judged.verdict == Verdict::kPool) {
      const std::uint64_t open = judged.created - std::min(judged.closed, judged.created);
      text += count_text(open) + " of " + counted(judged.created, "socket", "sockets") + " kept open";
    } else if (judged.verdict == Verdict::kOwnerless) {
      text += counted(judged.leaked, "connection waits", "connections wait") + " for accept()";
    } else if (judged.verdict == Verdict::kStuck) {
      text += counted(judged.leaked, "connection has", "connections have") + " requests that nobody reads";
    } else {
      text += count_text(judged.leaked) + " of " + counted(judged.created, "socket", "sockets") + " never closed";
    }
    for (const std::string& part : {rate_text(judged.leaked_per_minute), traffic_text(finding), states_text(finding)}) {
      if (!part.empty()) text += kDot + part;
    }
    std::array<char, 32> confidence{};
    std::snprintf(confidence.data(), confidence.size(), "confidence %.2f", std::clamp(judged.confidence, 0.0, 1.0));
    const std::size_t used = columns(word) + columns(text) + columns(confidence.data());
    text.append(used + kHeadlineGap > kWidth ? kHeadlineGap : kWidth - used, ' ').append(confidence.data());
    const bool is_pool = judged.verdict == Verdict::kPool;
    const bool is_suspect = judged.verdict == Verdict::kSuspect;
    out_ += (is_pool ? word : painted(is_suspect ? "33" : "1;31", word)) + text + '\n';
  }

  void goroutine(const ReportFinding& finding) {
    if (finding.goroutine_created_at && !finding.goroutine_created_at->frames.empty()) {
      row("go statement", "in  " + frame_line(finding.goroutine_created_at->frames.front(), verbose_));
    }
    for (std::size_t i = 0; i < finding.goroutine_ancestors.size(); ++i) {
      const ReportAncestor& ancestor = finding.goroutine_ancestors[i];
      const Frame* frame = culprit_of(ancestor.stack, ancestor.culprit);
      if (!verbose_ && finding.caller != i) continue;
      row(finding.caller == i ? "called from" : "ancestor",
          (frame == nullptr ? "an unknown place" : frame_line(*frame, verbose_)) + ancestor_text(ancestor));
      if (verbose_) out_ += stack_lines(ancestor.stack, ancestor.culprit, true);
    }
    if (!finding.ancestors_why.empty()) row("called from", "an unknown place: " + escape_terminal(finding.ancestors_why));
  }

  [[nodiscard]] static std::string ancestor_text(const ReportAncestor& ancestor) {
    std::string out;
    if (ancestor.goroutine != 0) out += kDot + ("goroutine " + std::to_string(ancestor.goroutine));
    return out + kDot + (ancestor.exact ? "at its go statement" : "where it is now");
  }

  void listener(const Stack& stack, std::size_t culprit) {
    const Frame* frame = culprit_of(stack, culprit);
    row("listener", "created " + (frame == nullptr ? "at an unknown place" : "in  " + frame_line(*frame, verbose_)));
    if (verbose_) out_ += stack_lines(stack, culprit, true);
  }

  void siblings(const ReportFinding& finding) {
    const Finding& judged = finding.finding;
    if (judged.closed == 0 || finding.closed_at.empty()) {
      if (judged.closed != 0) row("siblings", count_text(judged.closed) + " closed" + lifetimes(judged));
      return;
    }
    const std::size_t shown =
        verbose_ ? finding.closed_at.size() : std::min(finding.closed_at.size(), kBriefClosePaths);
    for (std::size_t i = 0; i < shown; ++i) {
      const ReportClose& close = finding.closed_at[i];
      row(i == 0 ? "siblings" : "", closed_text(close, verbose_) + (i == 0 ? lifetimes(judged) : ""));
      if (verbose_ && !close.stack.frames.empty()) out_ += stack_lines(close.stack, close.culprit, true);
    }
    std::uint64_t rest = 0;
    for (std::size_t i = shown; i < finding.closed_at.size(); ++i) rest += finding.closed_at[i].count;
    if (shown < finding.closed_at.size()) {
      row("",
          "… " + count_text(rest) + " on " + counted(finding.closed_at.size() - shown, "other path", "other paths"));
    }
  }

  void touches(const ReportFinding& finding) {
    const std::size_t all = finding.last_touched_at.size();
    const std::size_t shown = verbose_ ? all : std::min(all, kBriefClosePaths);
    for (std::size_t i = 0; i < shown; ++i) {
      const ReportTouch& touch = finding.last_touched_at[i];
      const Frame* frame = culprit_of(touch.stack, touch.culprit);
      row(i == 0 ? "last touched" : "",
          count_text(touch.count) + (frame == nullptr ? " at an unknown place" : " in  " + frame_line(*frame, verbose_)) +
              kDot + escape_terminal(touch.what));
      if (verbose_ && !touch.stack.frames.empty()) out_ += stack_lines(touch.stack, touch.culprit, true);
    }
    if (shown < all) row("", "… on " + counted(all - shown, "other path", "other paths"));
  }

  /// "3 open (1 listening, 2 in use)"
  [[nodiscard]] static std::string open_text(const Report& report) {
    std::string text = count_text(report.open) + " open";
    const Account& account = report.account;
    const std::array<std::pair<std::uint64_t, const char*>, 5> parts{{{account.listening, " listening"},
                                                                      {account.in_use, " in use"},
                                                                      {account.pooled, " in a pool"},
                                                                      {account.kept, " kept"},
                                                                      {account.undecided, " idle"}}};
    const char* separator = " (";
    for (const auto& [count, words] : parts) {
      if (count == 0) continue;
      text += separator + count_text(count) + words;
      separator = ", ";
    }
    return *separator == ',' ? text + ')' : text;
  }

  [[nodiscard]] static std::string lifetimes(const Finding& judged) {
    if (judged.longest_lifetime <= Duration::zero()) return {};
    return kDot + ("median lifetime " + duration_text(judged.median_lifetime)) + ", longest " +
           duration_text(judged.longest_lifetime);
  }

  void evidence(const Finding& judged) {
    std::string text;
    for (const Evidence& evidence : judged.evidence) {
      if (!text.empty()) text += kDot;
      text += escape_terminal(evidence.rule) + ": " + escape_terminal(evidence.text);
    }
    if (!text.empty()) row("evidence", text);
  }

  /// The first loss stands on the line of totals, further ones below it.
  void completeness(const Report& report) {
    if (report.complete && report.counters.complete()) {
      out_ += report.other_families.empty() ? "data complete\n" : "data complete for what is followed\n";
      return;
    }
    out_ += painted("33", "data INCOMPLETE");
    const char* before = ": ";
    for (std::size_t i = 0; i < kCounterFacts.size(); ++i) {
      if (!kCounterFacts[i].breaks_promise || report.counters.at(i) == 0) continue;
      out_ += before + count_text(report.counters.at(i)) + ' ' + std::string(kCounterFacts[i].sentence) + '\n';
      before = "  ";
    }
    if (*before == ':') out_ += '\n';
  }

  bool verbose_;
  bool color_;
  std::string out_;
};

}  // namespace

std::string write_text(const Report& report, const TextOptions& options) {
  TextReport text(options);
  const std::size_t all = report.findings.size();
  const std::size_t shown = options.top == 0 ? all : std::min(options.top, all);
  for (std::size_t i = 0; i < shown; ++i) text.finding(report.findings[i]);
  if (shown < all) text.not_shown(all - shown);
  for (const ReportOwnerless& group : report.ownerless) text.ownerless(group);
  if (report.actions) text.actions(*report.actions);
  text.ports(report);
  text.total(report);
  text.undecided(report);
  text.remarks(report);
  if (options.verbose) text.details(report);
  return text.take();
}

}  // namespace sockleak
