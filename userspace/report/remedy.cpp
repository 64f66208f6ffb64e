// The strongest fact wins: who must act, then why the socket was not closed, then what its siblings show.
#include "report/remedy.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "report/frame_text.hpp"

namespace sockleak {
namespace {

/// Where the program itself closes this site's sockets; nullptr if it never does or the place is unknown.
[[nodiscard]] const Frame* closing_frame(const ReportFinding& finding) {
  for (const ReportClose& close : finding.closed_at) {
    if (close.how != "close") continue;
    if (const Frame* frame = culprit_of(close.stack, close.culprit)) return frame;
  }
  return nullptr;
}

[[nodiscard]] bool closed_by_program(const ReportFinding& finding) {
  return std::any_of(finding.closed_at.begin(), finding.closed_at.end(),
                     [](const ReportClose& close) { return close.how == "close"; });
}

[[nodiscard]] std::string opening_phrase(const ReportFinding& finding) {
  const Frame* frame = culprit_of(finding.created_at, finding.culprit);
  return frame == nullptr ? "here" : "in " + frame_phrase(*frame);
}

[[nodiscard]] bool all_unaccepted(const ReportFinding& finding) {
  return !finding.sockets.empty() && std::all_of(finding.sockets.begin(), finding.sockets.end(),
                                                 [](const ReportSocket& socket) { return socket.record.unaccepted; });
}

[[nodiscard]] std::string other_holder(const ReportFinding& finding) {
  for (const ReportSocket& socket : finding.sockets) {
    for (const Holder& holder : socket.record.holders) {
      return escape_terminal(holder.comm) + " (" + std::to_string(holder.process.pid.value) + ')';
    }
  }
  return "the process that holds it";
}

/// The stack by which the program itself closes most of this site's sockets.
[[nodiscard]] const Stack* closing_stack(const ReportFinding& finding) {
  for (const ReportClose& close : finding.closed_at) {
    if (close.how == "close" && !close.stack.frames.empty()) return &close.stack;
  }
  return nullptr;
}

/// Of functions without a name nothing is known but the place.
[[nodiscard]] bool same_function(const Frame& a, const Frame& b) {
  return a.function == b.function && a.module == b.module && (!a.function.empty() || a.offset == b.offset);
}

/// Both stacks go through a function: from outside inwards, the last one. Where in it the first one went on.
[[nodiscard]] const Frame* parting_frame(const Stack& stack, const Stack& other) {
  const Frame* parting = nullptr;
  auto theirs = other.frames.rbegin();
  for (auto ours = stack.frames.rbegin(); ours != stack.frames.rend() && theirs != other.frames.rend();
       ++ours, ++theirs) {
    if (!same_function(*ours, *theirs)) break;
    parting = &*ours;
    if (ours->line != theirs->line || ours->offset != theirs->offset) break;
  }
  return parting;
}

/// A library made them in a goroutine of its own, for a call of the program's.
[[nodiscard]] std::string caller_remedy(const ReportFinding& finding) {
  const ReportAncestor& ancestor = finding.goroutine_ancestors[*finding.caller];
  const Frame* frame = culprit_of(ancestor.stack, ancestor.culprit);
  if (frame == nullptr || !ancestor.exact) return {};  // elsewhere by now, perhaps
  return "made for the call in " + frame_phrase(*frame) +
         ": close what it returns on every path (of an HTTP response: its Body)";
}

/// What was done last to most of them, and where their path leaves that of the siblings that are closed.
[[nodiscard]] std::string touch_remedy(const ReportFinding& finding) {
  const ReportTouch& touch = finding.last_touched_at.front();
  const Frame* last = culprit_of(touch.stack, touch.culprit);
  if (last == nullptr) return {};
  std::string out = touch.by_runtime
                        ? "close() is missing in what the program does after " + escape_terminal(touch.what) +
                              ", which its runtime was told in " + frame_phrase(*last)
                        : "close() is missing on the path through " + frame_phrase(*last) + ", which ended with " +
                              escape_terminal(touch.what);
  const Stack* close = closing_stack(finding);
  const Frame* closing = closing_frame(finding);
  if (close == nullptr || closing == nullptr) return out + ": nobody closes these sockets";
  out += "; siblings are closed in " + frame_phrase(*closing);
  const Frame* parting = parting_frame(touch.stack, *close);
  if (parting != nullptr && !same_function(*parting, *last)) out += "; the paths part in " + frame_phrase(*parting);
  return out;
}

/// What the hand-over of the first socket suggests.
[[nodiscard]] std::string hand_over_remedy(const ReportFinding& finding) {
  HandOver how = HandOver::kUnknown;
  for (const ReportSocket& socket : finding.sockets) {
    for (const Holder& holder : socket.record.holders) {
      if (how == HandOver::kUnknown) how = holder.handed_over;
    }
  }
  const std::string keeps = other_holder(finding) + " keeps them open without having opened them: ";
  if (how == HandOver::kScmRights) return keeps + "it must close what it receives through SCM_RIGHTS";
  if (how == HandOver::kPidfdGetfd) return keeps + "it must close what it takes with pidfd_getfd";
  if (how == HandOver::kFork) return keeps + "the child must close the descriptors that it does not use";
  return keeps + "open with SOCK_CLOEXEC, or close the descriptors it was handed";
}

[[nodiscard]] std::string close_wait_remedy(const ReportFinding& finding) {
  std::string out = "the peer closed, recv returns 0 ever since and nobody calls close(): ";
  if (const Frame* frame = closing_frame(finding)) {
    return out + "siblings are closed in " + frame_phrase(*frame) + ", the path that sees the end must get there too";
  }
  return out + "close the sockets opened " + opening_phrase(finding) + " once recv returns 0";
}

[[nodiscard]] std::string invisible_remedy(const ReportFinding& finding) {
  std::string out = "the connection is over (or never began) and only the descriptor is left: ";
  if (const Frame* frame = closing_frame(finding)) {
    return out + "siblings are closed in " + frame_phrase(*frame) + ", the error path must get there too";
  }
  return out + "close the sockets opened " + opening_phrase(finding) + " when an operation on them fails";
}

}  // namespace

bool accused_by(const ReportFinding& finding, std::string_view rule) {
  const auto& evidence = finding.finding.evidence;
  return std::any_of(evidence.begin(), evidence.end(), [rule](const Evidence& e) { return e.rule == rule; });
}

bool held_only_by_others(const ReportFinding& finding) {
  bool any_holder = false;
  bool any_creator = false;
  for (const ReportCreator& creator : finding.creators) any_creator = any_creator || creator.pid != 0;
  if (!any_creator) return false;
  for (const ReportSocket& socket : finding.sockets) {
    for (const Holder& holder : socket.record.holders) {
      if (holder.process.pid.value == 0) continue;
      any_holder = true;
      for (const ReportCreator& creator : finding.creators) {
        if (creator.pid == holder.process.pid.value) return false;
      }
    }
  }
  return any_holder;
}

std::string remedy_text(const ReportFinding& finding) {
  if (finding.finding.verdict == Verdict::kPool) {
    return "none needed: the number of open sockets stays flat while the site is busy";
  }
  if (finding.finding.verdict == Verdict::kStuck) {
    return "no close() is missing: find where the threads hang that should read these requests";
  }
  if (all_unaccepted(finding)) {
    return "the program does not accept() them: accept until EAGAIN, or close the listener when it is no longer served";
  }
  if (held_only_by_others(finding)) return hand_over_remedy(finding);
  if (accused_by(finding, "invisible")) return invisible_remedy(finding);
  if (finding.caller && *finding.caller < finding.goroutine_ancestors.size()) {
    if (std::string text = caller_remedy(finding); !text.empty()) return text;
  }
  if (!finding.last_touched_at.empty()) {
    if (std::string text = touch_remedy(finding); !text.empty()) return text;
  }
  if (accused_by(finding, "close-wait")) return close_wait_remedy(finding);
  if (const Frame* frame = closing_frame(finding)) {
    return "siblings are closed in " + frame_phrase(*frame) + ": the path that skips it leaks";
  }
  if (closed_by_program(finding)) return "siblings are closed by the program: the path that skips that close() leaks";
  if (accused_by(finding, "open-at-exit")) {
    return "nobody closed the sockets opened " + opening_phrase(finding) + ": only the end of the process did";
  }
  return "nobody ever closes the sockets opened " + opening_phrase(finding);
}

}  // namespace sockleak
