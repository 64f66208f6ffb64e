// The sections about sockets, and the whole text. Gauges: scan_text_gauges.cpp.
#include <algorithm>
#include <array>
#include <cstdio>
#include <iterator>
#include <map>

#include "scan/cause.hpp"
#include "scan/close_wait.hpp"
#include "scan/others.hpp"
#include "scan/scan_report.hpp"
#include "scan/scan_text_gauges.hpp"
#include "scan/text_lines.hpp"

namespace sockleak {
namespace {

constexpr std::size_t kExamples = 3;
constexpr const char* kDot = " · ";

using Sockets = std::vector<const ScanSocket*>;

std::string sockets_text(std::size_t count) { return counted(count, "socket", "sockets"); }

std::string line_of(const ScanSocket& socket) {
  std::string line = std::string(to_string(socket.addresses.protocol)) + ' ' + to_string(socket.state) + ' ' +
                     endpoint_text(socket.addresses.local) + " -> " + endpoint_text(socket.addresses.remote);
  if (socket.idle) line += "  idle " + duration_text(*socket.idle);
  for (std::size_t i = 0; i < socket.holders.size() && i < kExamples; ++i) {
    line += (i == 0 ? "  " : ", ") + holder_text(socket.holders[i]);
  }
  if (socket.holders.size() > kExamples) line += " and " + std::to_string(socket.holders.size() - kExamples) + " more";
  return line;
}

/// What is unread, and who would notice.
std::string use_of(const ScanSocket& socket) {
  std::string text;
  if (const auto bytes = unread(socket); bytes.value_or(0) > 0) text += "  " + std::to_string(*bytes) + " bytes unread";
  if (const auto end = end_read(socket)) text += *end ? "  end read" : "  end not read";
  if (const auto dwelt = dwell(socket)) text += "  for " + duration_text(*dwelt);
  if (const char* waiter = to_string(socket.waiter); *waiter != '\0') text += std::string("  waits: ") + waiter;
  return text;
}

class Writer {
 public:
  Writer(const ScanReport& report, const ScanTextOptions& options)
      : report_(report), options_(options), lines_(options.top) {
    for (const std::size_t index : report.selected) selected_.push_back(&report.snapshot.sockets[index]);
  }

  std::string write() {
    if (options_.repeated) lines_.raw("scan of " + report_.time + "\n\n");
    causes();
    inherited();
    close_wait();
    invisible();
    write_gauges(report_, lines_);
    if (options_.list) list();
    summary();
    return lines_.take();
  }

 private:
  static bool is_any_of(Cause cause, std::initializer_list<Cause> causes) {
    return std::find(causes.begin(), causes.end(), cause) != causes.end();
  }

  void causes() {
    std::map<Cause, Sockets> by_cause;
    for (const ScanSocket* socket : selected_) by_cause[socket->cause].push_back(socket);
    const auto ownerless = static_cast<std::size_t>(std::count_if(
        selected_.begin(), selected_.end(), [](const ScanSocket* socket) { return counts_as_ownerless(*socket); }));
    lines_.heading("OWNERLESS  " + sockets_text(ownerless) + " that no descriptor refers to");
    for (const auto& [cause, sockets] : by_cause) {
      if (!is_any_of(cause, {Cause::kNone, Cause::kTimeWait, Cause::kRequest, Cause::kZombieLeader,
                             Cause::kUnsharedFiles, Cause::kHidden, Cause::kKernel})) {
        lines_.line(std::string(to_string(cause)) + "  " + sockets_text(sockets.size()));
        of_one_cause(cause, sockets, 4);
      }
    }
    const auto section = [&](const char* name, Cause cause, const char* what) {
      const auto sockets = by_cause.find(cause);
      if (sockets == by_cause.end()) return;
      lines_.heading(std::string(name) + "  " + sockets_text(sockets->second.size()) + what);
      of_one_cause(cause, sockets->second, 2);
    };
    section("HIDDEN", Cause::kHidden, " whose holder cannot be seen from here");
    section("KERNEL", Cause::kKernel, " of the kernel's own");
    section("ZOMBIE LEADER", Cause::kZombieLeader, " held by threads that have outlived their main thread");
    section("UNSHARED FILES", Cause::kUnsharedFiles, " held by threads with descriptors of their own");
  }

  void of_one_cause(Cause cause, const Sockets& sockets, std::size_t indent) {
    const std::string* said = nullptr;
    for (std::size_t i = 0; i < sockets.size() && i < kExamples; ++i) {
      lines_.line(line_of(*sockets[i]), indent);
      const std::string& evidence = sockets[i]->evidence;
      if (evidence.empty() || (said != nullptr && *said == evidence)) continue;
      lines_.line("evidence  " + evidence, indent + 2, 10);
      said = &evidence;
    }
    if (sockets.size() > kExamples) lines_.line("and " + count_text(sockets.size() - kExamples) + " more", indent);
    const std::string remedy = remedy_for(cause, report_.snapshot.through_bpf);
    if (!remedy.empty()) lines_.line("remedy  " + remedy, indent, 8);
  }

  void inherited() {
    Sockets kept;
    const std::vector<SocketId>& ids = report_.snapshot.inherited;
    std::copy_if(selected_.begin(), selected_.end(), std::back_inserter(kept), [&](const ScanSocket* socket) {
      return std::find(ids.begin(), ids.end(), socket->cookie) != ids.end();
    });
    if (kept.empty()) return;
    lines_.heading("INHERITED  " + counted(kept.size(), "listener", "listeners") +
                   " whose creator has ended, kept by a program that accepts nothing");
    for (std::size_t i = 0; i < kept.size() && !lines_.full(i, kept.size()); ++i) lines_.line(line_of(*kept[i]));
    lines_.line("evidence  the credentials it was opened with are nobody's, its holder came by it through fork and exec without "
                "close-on-exec, nobody waits on it", 2, 10);
    lines_.line("remedy  SOCK_CLOEXEC in the server that opened it; until " +
                process_text(kept.front()->holders.front().comm, kept.front()->holders.front().pid) +
                " ends, the port cannot be bound again", 2, 8);
  }

  void close_wait() {
    const std::vector<CloseWaitGroup> groups = close_wait_by_holder(report_);
    if (groups.empty()) return;
    std::uint64_t count = 0;
    for (const CloseWaitGroup& group : groups) count += group.count;
    lines_.heading("CLOSE_WAIT  " + sockets_text(count) + " whose peer has closed, and the program has not");
    for (std::size_t i = 0; i < groups.size(); ++i) {
      if (lines_.full(i, groups.size())) break;
      const CloseWaitGroup& group = groups[i];
      std::string text = (group.pid.value == 0 ? "holder not visible" : process_text(group.comm, group.pid)) + "  " +
                         count_text(group.count) + kDot;
      bool first = true;
      for (const CloseWaitAge& age : group.ages) {
        if (age.count == 0) continue;
        text += (first ? "" : ", ") + count_text(age.count) +
                (age.at_least == Duration::zero() ? " for less" : " for at least " + duration_text(age.at_least));
        first = false;
      }
      text += std::string(kDot) + "oldest " + duration_text(group.oldest);
      if (!group.descriptors.empty()) text += std::string(kDot) + "fd";
      for (const std::int32_t fd : group.descriptors) text += ' ' + std::to_string(fd);
      lines_.line(text + (group.count > group.descriptors.size() && !group.descriptors.empty() ? " ..." : ""));
    }
    const std::uint32_t worst = groups.front().pid.value;
    lines_.line("remedy  close() is missing on a path of that program: sockleak trace -p " +
                (worst == 0 ? std::string("PID") : std::to_string(worst)) + " names it", 2, 8);
  }

  void invisible() {
    std::map<std::pair<std::string, std::uint32_t>, Sockets> by_holder;
    std::size_t count = 0;
    for (const ScanSocket* socket : selected_) {
      if (!is_invisible_to_ss(*socket)) continue;
      by_holder[{socket->holders.front().comm, socket->holders.front().pid.value}].push_back(socket);
      ++count;
    }
    if (count == 0) return;
    lines_.heading("INVISIBLE  " + counted(count, "closed or unused TCP socket", "closed or unused TCP sockets") +
                   " with a descriptor: ss cannot show them");
    std::vector<std::pair<std::pair<std::string, std::uint32_t>, Sockets>> sorted(by_holder.begin(), by_holder.end());
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const auto& a, const auto& b) { return a.second.size() > b.second.size(); });
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      if (lines_.full(i, sorted.size())) break;
      const Sockets& sockets = sorted[i].second;
      const auto used = static_cast<std::size_t>(std::count_if(
          sockets.begin(), sockets.end(), [](const ScanSocket* socket) { return socket->addresses.remote.port != 0; }));
      std::string text = process_text(sorted[i].first.first, Pid{sorted[i].first.second}) + "  " + count_text(sockets.size());
      if (used > 0) text += kDot + count_text(used) + " ended by the peer or a timeout, never closed";
      if (used < sockets.size()) text += kDot + count_text(sockets.size() - used) + " never connected";
      lines_.line(text);
      for (std::size_t j = 0; j < sockets.size() && j < kExamples; ++j) lines_.line(line_of(*sockets[j]), 4);
      if (sockets.size() > kExamples) lines_.line("and " + count_text(sockets.size() - kExamples) + " more", 4);
    }
    lines_.line("remedy  only close() in the program, or its end, frees them: sockleak trace -p " +
                std::to_string(sorted.front().first.second) + " names the path", 2, 8);
  }

  void list() {
    lines_.heading("SOCKETS");
    for (const ScanSocket* socket : selected_) {
      const char* const cause = to_string(socket->cause);
      lines_.raw("  " + line_of(*socket) + use_of(*socket) + (*cause == '\0' ? "" : std::string("  ") + cause) + '\n');
    }
  }

  void summary() {
    std::map<TcpState, std::uint64_t> states;
    for (const ScanSocket* socket : selected_) {
      if (socket->addresses.protocol == Protocol::kTcp) ++states[socket->state];
    }
    // "0 sockets" of a process that holds hundreds would be read as if it held none.
    const bool only_others = selected_.empty() && !report_.selected_others.empty();
    std::string text = only_others ? "no socket of an internet family" : sockets_text(selected_.size());
    if (selected_.size() != report_.snapshot.sockets.size()) {
      text += " of " + count_text(report_.snapshot.sockets.size());
    }
    for (const auto& [state, count] : states) text += kDot + count_text(count) + ' ' + to_string(state);
    std::array<char, 32> took{};
    std::snprintf(took.data(), took.size(), "%.2f s", report_.snapshot.seconds);
    lines_.raw("\n" + text + kDot + took.data() + kDot + (report_.snapshot.gaps.empty() ? "complete" : "incomplete") + '\n');
    others();
    for (const std::string& gap : report_.snapshot.gaps) lines_.line("not seen: " + gap, 0, 10);
    for (const std::string& reason : report_.exceeded) lines_.line("LIMIT  " + reason, 0, 7);
    for (const std::string& reason : report_.undecided) lines_.line("LIMIT  " + reason, 0, 7);
    if (options_.repeated) lines_.raw("\n");
  }

  void others() {
    const std::size_t count = report_.selected_others.size();
    if (count == 0) return;
    std::string text = sockets_text(count) + (count == 1 ? " of a family that is" : " of families that are") +
                       " not judged: " + families_text(others_by_family(report_));
    const std::vector<OtherCount> holders = others_by_holder(report_);
    text += std::string(kDot) + (holders.size() > kExamples ? "most held by " : "held by ");
    for (std::size_t i = 0; i < holders.size() && i < kExamples; ++i) {
      text += (i == 0 ? "" : ", ") + process_text(holders[i].name, holders[i].pid);
      if (holders.size() > 1) text += ' ' + count_text(holders[i].count);
    }
    lines_.line(text, 0, 2);
  }

  const ScanReport& report_;
  const ScanTextOptions& options_;
  Sockets selected_;
  TextLines lines_;
};

}  // namespace

std::string write_scan_text(const ScanReport& report, const ScanTextOptions& options) {
  return Writer(report, options).write();
}

}  // namespace sockleak
