#include "app/report_builder.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "app/counting.hpp"
#include "app/judge_names.hpp"
#include "app/socket_use.hpp"
#include "judge/judge.hpp"
#include "process/cgroups.hpp"
#include "runtime/go/findings/goroutine_facts.hpp"
#include "runtime/go/findings/idle_pools.hpp"
#include "runtime/java/findings/java_pool.hpp"
#include "track/hand_over.hpp"

namespace sockleak {
namespace {

/// Most frequent first; equal ones in the order of their keys.
template <typename Key>
[[nodiscard]] std::vector<std::pair<Key, std::uint64_t>> by_count(const std::map<Key, std::uint64_t>& counts) {
  std::vector<std::pair<Key, std::uint64_t>> sorted(counts.begin(), counts.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  return sorted;
}

/// How many bytes it were says nothing: sockets are grouped by this.
[[nodiscard]] std::string touch_text(const Touch& touch) {
  const bool receive = touch.kind == TouchKind::kReceive;
  const std::string call = receive ? "recv → " : "send → ";
  if (touch.result > 0) return call + "data";
  if (touch.result == 0) return call + (receive ? "0 (peer closed)" : "0");
  const char* name = ::strerrorname_np(-touch.result);
  return call + (name != nullptr ? name : std::to_string(touch.result).c_str());
}

/// Functions of Node's own are named, and none of the program's is among them.
[[nodiscard]] bool made_by_nodes_loop(const Stack& stack) {
  const auto is_named = [](const Frame& frame) { return frame.kind == FrameKind::kNode && !frame.file.empty(); };
  const auto is_own = [&](const Frame& frame) { return is_named(frame) && !is_runtime_frame(frame); };
  return std::ranges::any_of(stack.frames, is_named) && std::ranges::none_of(stack.frames, is_own);
}

class ReportBuilder {
 public:
  explicit ReportBuilder(const ReportInput& input) : in_(input), now_(input.tracker.now()) {}

  [[nodiscard]] Report build() {
    Report report;
    const Session& session = in_.session;
    report.tool_version = session.tool_version;
    report.host = session.host;
    report.target = session.target;
    report.hooks = session.hooks;
    report.actions = session.actions;
    report.window = window();
    report.counters = in_.counters;
    report.complete = in_.counters.complete();
    std::map<SiteKey, std::size_t> findings;
    JavaPool java(in_.tracker, in_.stacks, in_.symbolizer);
    StackKnowledge knowledge(in_.stacks, in_.symbolizer);
    JudgeNames judge_names = knowledge.names();
    judge_names.is_pooled = [&](const SocketRecord& socket) {
      return idles_in_pool(socket, in_.tracker, in_.stacks, in_.symbolizer);
    };
    judge_names.is_kept_by_pool = [&](const SocketRecord& socket) { return java.may_hold(socket); };
    std::vector<Finding> judged = judge(in_.tracker, now_, session.judge, judge_names);
    report.account = account_of(in_.tracker, now_, session.judge.older, judged, judge_names.of_stack);
    Counting counting(session, in_.tracker);
    for (Finding& finding : judged) {
      if (!counting.leave_out_warmup(finding)) continue;
      counting.count(finding);
      if (finding.counts) report.leaked += finding.leaked;
      findings.emplace(finding.site, report.findings.size());
      for (const SiteKey& key : finding.merged) findings.emplace(key, report.findings.size());
      report.findings.push_back(resolved(std::move(finding)));
    }
    report.counting = counting.result();
    report.ports = session.ports;
    report.other_families = session.other_families;
    totals(report);
    report.ownerless = ownerless();
    for (const SnapshotLimit& limit : in_.tracker.limits()) {
      report.limits.push_back({limit.pid.value, limit.comm, limit.used, limit.limit});
    }
    if (in_.every_site) {
      std::map<SiteKey, std::string> names;
      report.sites = sites(report, findings, names);
      report.open_sockets = open_sockets(names);
    }
    return report;
  }

 private:
  [[nodiscard]] Window window() const {
    Window window;
    const KernelTime begin = in_.tracker.session_begin();
    if (begin.ns != 0) window.seconds = seconds(now_ - begin);
    const std::int64_t started = in_.session.started_ms;
    window.start = rfc3339(started);
    if (!window.start.empty()) window.end = rfc3339(started + static_cast<std::int64_t>(window.seconds * 1000));
    return window;
  }

  void totals(Report& report) const {
    const Tracker::Totals totals = in_.tracker.totals();
    // What only the end of a process closed is not closed by the program: it counts as open where that is judged.
    const std::uint64_t left = in_.session.judge.at_exit ? totals.open_at_exit : 0;
    report.created = totals.created;
    report.closed = totals.closed - left;
    report.open = left;
    for (const auto& [id, socket] : in_.tracker.sockets()) report.open += socket.unaccepted ? 0 : 1;
  }

  /// What the last snapshot found open and no descriptor refers to.
  [[nodiscard]] std::vector<ReportOwnerless> ownerless() const {
    std::map<Cause, std::vector<const SocketRecord*>> by_cause;
    for (const auto& [id, socket] : in_.tracker.sockets()) {
      const Plight* plight = in_.tracker.plight(id);
      if (plight == nullptr || !plight->ownerless || socket.snapshot < in_.tracker.last_snapshot()) continue;
      by_cause[plight->cause].push_back(&socket);
    }
    std::vector<ReportOwnerless> groups;
    for (auto& [cause, sockets] : by_cause) {
      std::sort(sockets.begin(), sockets.end(), older);
      ReportOwnerless& group = groups.emplace_back();
      group.cause = cause;
      group.count = sockets.size();
      if (sockets.size() > kShownSockets) sockets.resize(kShownSockets);
      for (const SocketRecord* socket : sockets) {
        group.sockets.push_back({shown(*socket), in_.tracker.plight(socket->id)->evidence});
      }
    }
    std::stable_sort(groups.begin(), groups.end(), [](const auto& a, const auto& b) { return a.count > b.count; });
    return groups;
  }

  [[nodiscard]] ReportFinding resolved(Finding finding) {
    ReportFinding out;
    std::vector<SocketRecord> sockets = std::exchange(finding.sockets, {});
    out.created_at = creation_stack(finding.site, sockets);
    out.culprit = culprit_frame(out.created_at);
    if (finding.site.origin != Origin::kAccept && made_by_nodes_loop(out.created_at)) {
      const char* does = finding.site.origin == Origin::kConnect ? "connects" : "opens sockets";
      out.caller_why = std::string("Node ") + does + " in a later turn of its loop than the one that asked for it";
    }
    out.site = site_fingerprint(out.created_at, to_string(finding.site.origin), to_string(finding.site.protocol));
    if (const StackId listener = listener_stack(sockets); listener != kNoStack) {
      out.listener_created_at = stack(listener);
      out.listener_culprit = culprit_frame(*out.listener_created_at);
    }
    add_goroutine_facts(out, finding.listeners.empty() ? sockets : finding.listeners, in_.tracker,
                        [this](StackId id) { return stack(id); });
    std::map<Endpoint, std::uint64_t> peers;
    std::map<std::string, std::uint64_t> paths;
    for (const SocketRecord& socket : sockets) {
      ++out.states[to_string(socket.state)];
      if (socket.addresses.remote.port != 0) ++peers[peer_of(socket)];
      if (std::string path = path_of(socket); !path.empty()) ++paths[std::move(path)];
    }
    out.paths = by_count(paths);
    out.peers = by_count(peers);
    out.creators = creators(finding.listeners.empty() ? sockets : finding.listeners);
    out.closed_at = closes(finding.closed_at);
    out.last_touched_at = touches(sockets);
    out.finding = std::move(finding);
    if (sockets.size() > kShownSockets) sockets.resize(kShownSockets);
    for (SocketRecord& socket : sockets) {
      const double age = seconds(now_ - socket.created);
      std::optional<UnixName> name = name_of(socket);
      SocketUse use = use_of_it(socket);
      out.sockets.push_back({std::move(socket), age, std::move(name), use});
    }
    return out;
  }

  [[nodiscard]] SocketUse use_of_it(const SocketRecord& socket) const {
    const SocketFacts* facts = in_.tracker.facts(socket.id);
    return facts == nullptr ? SocketUse{} : use_of(socket, *facts, now_);
  }

  [[nodiscard]] std::optional<UnixName> name_of(const SocketRecord& socket) const {
    const UnixName* name = in_.tracker.unix_name(socket.id);
    return name == nullptr ? std::nullopt : std::optional(*name);
  }

  /// Where a unix socket is to be found: servers are known by their own path, clients by what they are connected to.
  [[nodiscard]] std::string path_of(const SocketRecord& socket) const {
    const UnixName* name = in_.tracker.unix_name(socket.id);
    if (name == nullptr) return {};
    return name->path.empty() ? name->peer_path : name->path;
  }

  /// Clients connect from a new port each time, which tells nothing.
  [[nodiscard]] static Endpoint peer_of(const SocketRecord& socket) {
    Endpoint peer = socket.addresses.remote;
    if (socket.origin == Origin::kAccept || socket.listener.value != 0) peer.port = 0;
    return peer;
  }

  [[nodiscard]] Stack creation_stack(const SiteKey& site, const std::vector<SocketRecord>& sockets) {
    if (site.stack != kNoStack) return stack(site.stack);
    if (site.origin == Origin::kBeforeAttach) return {{}, true, "opened before sockleak attached, or by a process that it does not watch"};
    const WalkEnd end = sockets.empty() ? WalkEnd::kNone : sockets.front().stack_end;
    if (end != WalkEnd::kNone && end != WalkEnd::kComplete) return {{}, true, why_short(end)};
    const bool unseen = site.origin == Origin::kAccept && end == WalkEnd::kNone;
    return {{}, true, unseen ? "accepted in a way that no hook saw, or its stack was lost" : "the stack was lost"};
  }

  [[nodiscard]] Stack stack(StackId id) const {
    if (id == kNoStack) return {};
    return in_.symbolizer.symbolize(in_.stacks.get(id));
  }

  [[nodiscard]] static StackId listener_stack(const std::vector<SocketRecord>& sockets) {
    std::map<StackId, std::uint64_t> listeners;
    for (const SocketRecord& socket : sockets) {
      if (socket.listener_stack != kNoStack) ++listeners[socket.listener_stack];
    }
    return listeners.empty() ? kNoStack : by_count(listeners).front().first;
  }

  /// One entry per process and thread name: a thread per connection is not worth a line each.
  [[nodiscard]] std::vector<ReportCreator> creators(const std::vector<SocketRecord>& sockets) const {
    std::map<std::tuple<ProcessId, std::string>, ReportCreator> grouped;
    std::map<const ReportCreator*, std::set<std::uint64_t>> goroutines;
    for (const SocketRecord& socket : sockets) {
      const Task& task = socket.creator;
      ReportCreator& creator = grouped[{task.process, socket.comm}];
      if (const Goroutine* goroutine = in_.tracker.goroutine(socket.id)) goroutines[&creator].insert(goroutine->id);
      if (creator.count++ != 0) {
        if (creator.tid != task.tid.value) creator.tid = 0;
        continue;
      }
      creator.pid = task.process.pid.value;
      creator.tid = task.tid.value;
      creator.thread = socket.comm;
      if (const ProcessName* name = in_.session.names.find(task.process)) {
        creator.comm = name->comm;
        creator.exe = name->exe;
        creator.cgroup = name->cgroup;
        creator.container = container_of(name->cgroup);
      }
      if (creator.comm.empty() && task.tid == task.process.pid) creator.comm = socket.comm;
    }
    std::vector<ReportCreator> out;
    for (auto& [key, creator] : grouped) {
      const std::set<std::uint64_t>& ids = goroutines[&creator];
      creator.goroutines = ids.size();
      if (ids.size() == 1) creator.goroutine = *ids.begin();
      out.push_back(std::move(creator));
    }
    std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.count > b.count; });
    return out;
  }

  [[nodiscard]] std::vector<ReportClose> closes(const std::vector<std::pair<ClosePath, std::uint64_t>>& paths) const {
    std::vector<ReportClose> out;
    for (const auto& [path, count] : paths) {
      ReportClose close{count, to_string(path.how), stack(path.stack), 0};
      close.culprit = culprit_frame(close.stack);
      out.push_back(std::move(close));
    }
    return out;
  }

  [[nodiscard]] std::vector<ReportTouch> touches(const std::vector<SocketRecord>& sockets) const {
    std::map<std::pair<std::string, StackId>, std::uint64_t> counts;
    for (const SocketRecord& socket : sockets) {
      const Tracker::LastTouch* last = in_.tracker.last_touch(socket.id);
      if (last != nullptr) ++counts[{touch_text(last->touch), last->stack}];
    }
    std::vector<ReportTouch> out;
    for (const auto& [key, count] : by_count(counts)) {
      ReportTouch touch{count, key.first, stack(key.second), 0};
      touch.culprit = culprit_frame(touch.stack);
      touch.by_runtime = std::ranges::all_of(touch.stack.frames, is_runtime_frame);
      out.push_back(std::move(touch));
    }
    return out;
  }

  /// `names`: their fingerprints.
  [[nodiscard]] std::vector<ReportFinding> sites(const Report& report, const std::map<SiteKey, std::size_t>& findings,
                                                 std::map<SiteKey, std::string>& names) {
    std::vector<ReportFinding> out;
    for (const auto& [key, site] : in_.tracker.sites()) {
      if (site.created == 0) continue;  // all of its sockets turned out to belong elsewhere
      if (const auto found = findings.find(key); found != findings.end()) {
        names[key] = report.findings[found->second].site;
        if (report.findings[found->second].finding.site == key) out.push_back(report.findings[found->second]);
        continue;
      }
      Finding finding;
      finding.site = key;
      finding.created = site.created;
      finding.closed = site.closed;
      finding.closed_at = by_count(site.close_paths);
      out.push_back(resolved(std::move(finding)));
      names[key] = out.back().site;
    }
    return out;
  }

  [[nodiscard]] std::vector<ReportOpenSocket> open_sockets(const std::map<SiteKey, std::string>& names) const {
    std::vector<const SocketRecord*> open;
    for (const auto& [id, socket] : in_.tracker.sockets()) {
      if (in_.tracker.last_snapshot() != 0 && socket.snapshot >= in_.tracker.last_snapshot()) open.push_back(&socket);
    }
    std::sort(open.begin(), open.end(), older);
    if (open.size() > kShownOpenSockets) open.resize(kShownOpenSockets);
    std::vector<ReportOpenSocket> rows;
    rows.reserve(open.size());
    for (const SocketRecord* socket : open) {
      ReportOpenSocket& row = rows.emplace_back();
      row.socket = shown(*socket);
      const auto name = names.find(Tracker::site_of(*socket));
      if (!socket->unaccepted && name != names.end()) row.site = name->second;
      if (const Plight* plight = in_.tracker.plight(socket->id)) row.cause = to_string(plight->cause);
    }
    return rows;
  }

  [[nodiscard]] static bool older(const SocketRecord* a, const SocketRecord* b) {
    return std::tie(a->created, a->id) < std::tie(b->created, b->id);
  }

  /// A copy that knows how each holder came by it.
  [[nodiscard]] ReportSocket shown(const SocketRecord& socket) const {
    ReportSocket out{socket, seconds(now_ - socket.created), name_of(socket), use_of_it(socket)};
    for (Holder& holder : out.record.holders) {
      holder.handed_over = hand_over_to(holder.process, socket, in_.tracker.processes());
    }
    return out;
  }

  const ReportInput& in_;
  KernelTime now_;
};

}  // namespace

Report build_report(const ReportInput& input) {
  return ReportBuilder(input).build();
}

int exit_status(const Report& report, const Session& session) {
  if (!session.check) return 0;
  const std::uint64_t leaks = report.counting ? report.counting->counted : report.leaked;
  if (leaks > session.max_leaks) return session.leak_exit_code;
  if (const int status = session.target.exit_status.value_or(0); status != 0) return status;
  return report.complete ? 0 : 4;
}

}  // namespace sockleak
