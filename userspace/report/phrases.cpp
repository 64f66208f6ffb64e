// Facts of a finding as short phrases; how they are laid out is text_writer's business.
#include "report/phrases.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <set>

#include "base/text.hpp"
#include "report/frame_text.hpp"
#include "report/remedy.hpp"

namespace sockleak {
namespace {

constexpr std::size_t kBriefCreators = 3;
constexpr std::size_t kBriefDescriptors = 8;
constexpr std::size_t kBriefProcesses = 4;

[[nodiscard]] std::string name_or_unknown(const std::string& name) {
  return name.empty() ? "?" : escape_terminal(name);
}

[[nodiscard]] std::string process_text(const std::string& comm, std::uint32_t pid) {
  return name_or_unknown(comm) + " (" + std::to_string(pid) + ')';
}

/// The local port of the finding's sockets if all have the same; 0 = none or several.
[[nodiscard]] std::uint16_t common_local_port(const ReportFinding& finding) {
  std::set<std::uint16_t> ports;
  for (const ReportSocket& socket : finding.sockets) ports.insert(socket.record.addresses.local.port);
  return ports.size() == 1 ? *ports.begin() : std::uint16_t{0};
}

[[nodiscard]] std::string and_others(std::size_t distinct) {
  return distinct < 2 ? "" : " and " + counted(distinct - 1, "other", "others");
}

[[nodiscard]] std::string creator_text(const ReportCreator& creator) {
  if (creator.pid == 0) return "an unknown process";
  constexpr std::size_t kShortId = 12;  // as docker shows it
  std::string out = name_or_unknown(creator.comm) + " (pid " + std::to_string(creator.pid) + ')';
  if (!creator.container.empty()) out += " in container " + escape_terminal(creator.container.substr(0, kShortId));
  if (!creator.thread.empty() && creator.thread != creator.comm) {
    out += " thread " + escape_terminal(creator.thread);
  } else if (creator.tid != creator.pid && creator.tid != 0) {
    // Threads inherit the process's name until they set their own: then only the number tells them apart.
    out += " thread " + std::to_string(creator.tid);
  }
  if (creator.goroutine != 0) out += kDot + ("goroutine " + std::to_string(creator.goroutine));
  if (creator.goroutines > 1) out += kDot + counted(creator.goroutines, "goroutine", "goroutines");
  return out;
}

/// Descriptors of one process on the finding's sockets.
struct HeldBy {
  std::string comm;
  HandOver handed_over = HandOver::kNone;
  std::set<std::int32_t> descriptors;
};

/// Before the name of the process; empty = nothing worth a word.
[[nodiscard]] const char* hand_over_words(HandOver how) {
  switch (how) {
    case HandOver::kFork:
      return "inherited by ";
    case HandOver::kForkExec:
      return "inherited without CLOEXEC by ";
    case HandOver::kScmRights:
      return "received through SCM_RIGHTS by ";
    case HandOver::kPidfdGetfd:
      return "taken with pidfd_getfd by ";
    default:
      return "";
  }
}

[[nodiscard]] std::string held_text(const std::map<std::uint32_t, HeldBy>& processes, bool verbose, bool more) {
  std::string out;
  std::size_t shown = 0;
  for (const auto& [pid, held] : processes) {
    if (!verbose && shown == kBriefProcesses) return out + and_others(processes.size() - shown + 1);
    if (shown++ != 0) out += kDot;
    out += hand_over_words(held.handed_over) + process_text(held.comm, pid) + " fd ";
    std::size_t fds = 0;
    for (const std::int32_t fd : held.descriptors) {
      if (!verbose && fds == kBriefDescriptors) break;
      if (fds++ != 0) out += ", ";
      out += std::to_string(fd);
    }
    if (more || fds < held.descriptors.size()) out += " …";
  }
  return out;
}

/// A holder that has no descriptor.
[[nodiscard]] std::string kept_text(const Holder& holder) {
  const std::string process = process_text(holder.comm, holder.process.pid.value);
  switch (holder.via) {
    case Via::kRingSlot:
      return "io_uring slot " + std::to_string(holder.fd.value) + " of " + process;
    case Via::kRequest:
      return "an io_uring request of " + process;
    case Via::kInFlight:
      if (holder.process.pid.value == 0) return "a message in the queue of a unix socket that nobody holds";
      return "a message that " + process + " has not received from its fd " + std::to_string(holder.fd.value);
    case Via::kMapping:
      return "a mapping of " + process;
    case Via::kEndingTask:
      return process + ", which does not end its exit";
    case Via::kSleeper:
      return "a call that thread " + std::to_string(holder.tid.value) + " of " + process + " sleeps in";
    case Via::kDescriptor:
      break;
  }
  return process + " fd " + std::to_string(holder.fd.value);
}

/// Everything that keeps the sockets apart from descriptors, each once.
[[nodiscard]] std::string kept_texts(const ReportFinding& finding, bool verbose) {
  std::vector<std::string> all;
  for (const ReportSocket& socket : finding.sockets) {
    for (const Holder& holder : socket.record.holders) {
      if (holder.via == Via::kDescriptor) continue;
      std::string text = kept_text(holder);
      if (std::find(all.begin(), all.end(), text) == all.end()) all.push_back(std::move(text));
    }
  }
  std::string out;
  const std::size_t shown = verbose ? all.size() : std::min(all.size(), kBriefProcesses);
  for (std::size_t i = 0; i < shown; ++i) out += (i == 0 ? "" : kDot) + all[i];
  if (shown < all.size()) out += and_others(all.size() - shown + 1);
  return out;
}

/// "stream socketpair", "dgram to /dev/log"; a server's own path is what its connections have.
[[nodiscard]] std::string unix_text(const ReportFinding& finding) {
  std::string out;
  if (!finding.sockets.empty()) out += ' ' + std::string(to_string(finding.sockets.front().record.addresses.type));
  if (finding.finding.site.origin == Origin::kSocketPair) out += " socketpair";
  if (finding.paths.empty()) return out;
  const bool own = std::any_of(finding.sockets.begin(), finding.sockets.end(), [](const ReportSocket& socket) {
    return socket.name && !socket.name->path.empty();
  });
  return out + (own ? " on " : " to ") + escape_terminal(finding.paths.front().first) + and_others(finding.paths.size());
}

}  // namespace

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

std::string rate_text(double per_minute) {
  if (!std::isfinite(per_minute) || per_minute > 1e15) return {};
  const bool hourly = per_minute < 1;
  const double rate = hourly ? per_minute * 60 : per_minute;
  if (rate < 0.5) return {};
  return '+' + count_text(static_cast<std::uint64_t>(std::llround(rate))) + (hourly ? "/h" : "/min");
}

std::string traffic_text(const ReportFinding& finding) {
  const SiteKey& site = finding.finding.site;
  std::string out = site.protocol == Protocol::kNone ? "unknown protocol" : upper(to_string(site.protocol));
  if (site.protocol == Protocol::kUnix) return out + unix_text(finding);
  if (site.origin != Origin::kAccept && finding.finding.verdict != Verdict::kOwnerless) {
    const char* preposition = site.origin == Origin::kBeforeAttach ? " with " : " to ";
    if (!finding.peers.empty()) {
      out += preposition + escape_terminal(to_string(finding.peers.front().first)) + and_others(finding.peers.size());
    }
    return out;
  }
  if (const std::uint16_t port = common_local_port(finding); port != 0) out += " on :" + std::to_string(port);
  // Clients come from a new port each time: only their addresses tell them apart.
  std::map<std::string, std::uint64_t> clients;
  for (const auto& [peer, count] : finding.peers) clients[address_text(peer)] += count;
  const auto busiest = std::max_element(clients.begin(), clients.end(),
                                        [](const auto& a, const auto& b) { return a.second < b.second; });
  if (busiest != clients.end()) out += " from " + escape_terminal(busiest->first) + and_others(clients.size());
  return out;
}

std::string states_text(const ReportFinding& finding) {
  std::vector<std::pair<std::string, std::uint64_t>> states(finding.states.begin(), finding.states.end());
  std::stable_sort(states.begin(), states.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string out;
  for (const auto& [state, count] : states) {
    if (!out.empty()) out += ", ";
    out += count_text(count) + ' ' + escape_terminal(state);
  }
  return out;
}

std::string creators_text(const ReportFinding& finding, bool verbose) {
  const auto& creators = finding.creators;
  std::string out;
  const std::size_t shown = verbose ? creators.size() : std::min(creators.size(), kBriefCreators);
  for (std::size_t i = 0; i < shown; ++i) {
    if (i != 0) out += ", ";
    out += creator_text(creators[i]);
    if (creators.size() > 1) out += " ×" + count_text(creators[i].count);
  }
  if (shown < creators.size()) out += and_others(creators.size() - shown + 1);
  if (creators.empty()) out = "an unknown process";
  if (finding.finding.site.origin == Origin::kBeforeAttach) out += ", before sockleak attached";
  return out;
}

std::string closed_text(const ReportClose& close, bool verbose) {
  std::string out = count_text(close.count) + ' ';
  if (close.how == "exit") return out + "closed by the end of the process";
  if (close.how == "exec") return out + "closed on exec";
  if (close.how == "unseen") return out + "found gone, their close unseen";
  const Frame* frame = culprit_of(close.stack, close.culprit);
  out += close.how == "async" ? "closed by the kernel later" : "closed";
  return out + (frame == nullptr ? ", place unknown" : " in  " + frame_line(*frame, verbose));
}

std::string holders_text(const ReportFinding& finding, bool verbose) {
  std::map<std::uint32_t, HeldBy> own;
  std::map<std::uint32_t, HeldBy> others;
  for (const ReportSocket& socket : finding.sockets) {
    for (const Holder& holder : socket.record.holders) {
      if (holder.via != Via::kDescriptor) continue;
      const std::uint32_t pid = holder.process.pid.value;
      // Without a known creator nobody is "another" process.
      const bool is_own = std::all_of(finding.creators.begin(), finding.creators.end(),
                                      [](const ReportCreator& creator) { return creator.pid == 0; }) ||
                          std::any_of(finding.creators.begin(), finding.creators.end(),
                                      [pid](const ReportCreator& creator) { return creator.pid == pid; });
      HeldBy& held = (is_own ? own : others)[pid];
      held.comm = holder.comm;
      held.handed_over = holder.handed_over;
      held.descriptors.insert(holder.fd.value);
    }
  }
  const bool more = finding.sockets.size() < finding.finding.leaked;
  const std::string kept = kept_texts(finding, verbose);
  if (own.empty() && others.empty()) {
    if (!kept.empty()) return kept;
    if (finding.sockets.empty()) return {};
    if (finding.sockets.front().record.unaccepted) return "nobody yet: they wait in the listener's accept queue";
    if (accused_by(finding, "open-at-exit")) return "nobody now: the process has ended";
    return "nobody: no descriptor refers to them";
  }
  std::string out = own.empty() ? held_text(others, verbose, more) + kDot + "not by the process that opened them"
                                : held_text(own, verbose, more);
  if (!own.empty() && !others.empty()) out += std::string(kDot) + "also held by " + held_text(others, verbose, more);
  if (!kept.empty()) out += kDot + kept;
  return out;
}

std::string socket_text(const ReportSocket& socket) {
  const SocketRecord& record = socket.record;
  std::string out = "cookie " + std::to_string(record.id.value) + ' ' + to_string(record.state) + ' ';
  if (record.addresses.protocol == Protocol::kUnix) {
    const UnixName name = socket.name.value_or(UnixName{});
    out += to_string(record.addresses.type) + (" " + (name.path.empty() ? "*" : escape_terminal(name.path))) + " → ";
    out += !name.peer_path.empty() ? escape_terminal(name.peer_path) : "*";
    if (name.peer.value != 0) out += " (cookie " + std::to_string(name.peer.value) + ')';
  } else {
    out += escape_terminal(to_string(record.addresses.local)) + " → " + escape_terminal(to_string(record.addresses.remote));
  }
  const double age = std::isfinite(socket.age_s) ? std::clamp(socket.age_s, 0.0, 1e9) : 0.0;
  out += kDot + ("age " + duration_text(std::chrono::duration_cast<Duration>(std::chrono::duration<double>(age))));
  out += kDot + counted(record.rx_bytes, "byte", "bytes") + " received, " + count_text(record.tx_bytes) + " sent";
  for (const Holder& holder : record.holders) {
    out += kDot + kept_text(holder);
  }
  return out;
}

std::string outcome_text(const ReportAction& action) {
  if (!action.allowed) return "refused: " + action.why;
  if (action.result.empty()) return "planned: " + action.why;
  return action.result_why.empty() ? action.result : action.result + ": " + action.result_why;
}

std::string action_text(const ReportAction& action) {
  const auto place = [](const ReportAction::End& end) {
    const bool v6 = end.address.find(':') != std::string::npos;
    return (v6 ? '[' + end.address + ']' : end.address) + ':' + std::to_string(end.port);
  };
  std::string text = action.protocol + ' ' + place(action.local);
  if (action.remote.port != 0) text += " -> " + place(action.remote);
  for (const ReportAction::Holder& holder : action.holders) {
    text += (&holder == &action.holders.front() ? kDot + std::string("held by ") : std::string(", ")) + holder.comm +
            " (" + std::to_string(holder.pid) + ") fd " + std::to_string(holder.fd);
  }
  if (!action.stays.empty()) text += kDot + ("stays: " + action.stays);
  return escape_terminal(text);
}

}  // namespace sockleak
