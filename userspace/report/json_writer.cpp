// The report for programs: sockleak.report/1, field for field docs/report.schema.json. A fact that is not known is
// null; a section marked optional there is left out. Pure ASCII output: what a program named its functions cannot
// steer the terminal somebody prints this to.
#include <algorithm>
#include <array>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "report/remarks.hpp"
#include "report/writers.hpp"

namespace sockleak {
namespace {

using Json = nlohmann::ordered_json;  // keys in the order of the contract, the same in every run

constexpr int kIndent = 2;

[[nodiscard]] Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(valid_utf8(text));
}

[[nodiscard]] Json number_or_null(std::uint64_t number) {
  return number == 0 ? Json(nullptr) : Json(number);
}

/// Rounded, so that the last bit of a computation never shows; no JSON number stands for what is not finite.
[[nodiscard]] double rounded(double value, double steps) {
  if (!std::isfinite(value)) return 0;
  return std::round(value * steps) / steps + 0.0;  // + 0.0: never "-0.0"
}

[[nodiscard]] Json hex(std::uint64_t value) {
  std::array<char, 24> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "0x%" PRIx64, value);
  return buffer.data();
}

/// Readers build paths and URLs from build-ids; one from a recording may be any string.
[[nodiscard]] Json build_id_json(const std::string& build_id) {
  const bool is_hex = build_id.find_first_not_of("0123456789abcdef") == std::string::npos;
  return is_hex ? text_or_null(build_id) : Json(nullptr);
}

[[nodiscard]] Json frame_json(const Frame& frame) {
  Json out{{"function", text_or_null(frame.function)},
           {"file", text_or_null(frame.file)},
           {"line", number_or_null(frame.line)},
           {"column", number_or_null(frame.column)},
           {"module", text_or_null(frame.module)},
           {"build_id", build_id_json(frame.build_id)},
           {"offset", hex(frame.offset)},
           {"inlined", frame.inlined},
           {"kind", to_string(frame.kind)}};
  if (frame.gap != NameGap::kNone) out["why"] = why_unnamed(frame.gap);
  return out;
}

[[nodiscard]] Json stack_json(const Stack& stack) {
  Json frames = Json::array();
  for (const Frame& frame : stack.frames) frames.push_back(frame_json(frame));
  return {{"frames", std::move(frames)}, {"truncated", stack.truncated}, {"why", text_or_null(stack.why)}};
}

[[nodiscard]] Json endpoint_json(const Endpoint& endpoint) {
  return {{"address", text_or_null(address_text(endpoint))}, {"port", endpoint.port}};
}

[[nodiscard]] Json holder_json(const Holder& holder) {
  return {{"pid", holder.process.pid.value},
          {"tid", holder.tid.value},
          {"comm", text_or_null(holder.comm)},
          {"fd", holder.fd.value},
          {"via", holder.via == Via::kRequest ? "io_uring" : to_string(holder.via)},
          {"cloexec", holder.close_on_exec},
          {"handed_over", text_or_null(to_string(holder.handed_over))}};
}

/// A call that sleeps and a task that exits hold no socket that could be found there: the cause tells of them.
[[nodiscard]] bool is_place(const Holder& holder) {
  return holder.via != Via::kSleeper && holder.via != Via::kEndingTask;
}

[[nodiscard]] Json seconds_or_null(const std::optional<double>& number) {
  return number ? Json(rounded(*number, 1e3)) : Json(nullptr);
}

/// Recordings from before there were any have none of these.
void add_facts(Json& out, const SocketUse& use) {
  const SocketFacts& facts = use.facts;
  if (!facts.known) return;
  out["unread_bytes"] = facts.unread;
  out["end_read"] = facts.end_read ? Json(*facts.end_read) : Json(nullptr);
  out["waiter"] = text_or_null(to_string(facts.waiter));
  out["dwell_s"] = seconds_or_null(use.dwell_s);
  out["uses"] = nullptr;
  if (facts.uses.since == KernelTime{}) return;
  out["uses"] = Json{{"since_s", rounded(use.counted_s, 1e3)},
                     {"bursts", facts.uses.bursts},
                     {"longest_gap_s", rounded(seconds(facts.uses.longest_gap), 1e3)}};
}

[[nodiscard]] Json socket_json(const ReportSocket& socket) {
  const SocketRecord& record = socket.record;
  Json holders = Json::array();
  for (const Holder& holder : record.holders) {
    if (is_place(holder)) holders.push_back(holder_json(holder));
  }
  Json out{{"cookie", record.id.value},
          {"protocol", to_string(record.addresses.protocol)},
          {"state", to_string(record.state)},
          {"local", endpoint_json(record.addresses.local)},
          {"remote", endpoint_json(record.addresses.remote)},
          {"netns", number_or_null(record.netns.value)},
          {"inode", number_or_null(record.inode)},
          {"age_s", rounded(std::max(socket.age_s, 0.0), 1e3)},
          {"idle_s", seconds_or_null(socket.use.idle_s)},
          {"rx_bytes", record.rx_bytes},
          {"tx_bytes", record.tx_bytes},
          {"holders", std::move(holders)}};
  add_facts(out, socket.use);
  if (record.addresses.protocol == Protocol::kUnix) {
    const UnixName name = socket.name.value_or(UnixName{});
    out["type"] = text_or_null(to_string(record.addresses.type));
    out["path"] = text_or_null(name.path);
    out["peer_path"] = text_or_null(name.peer_path);
    out["peer"] = number_or_null(name.peer.value);
  }
  return out;
}

[[nodiscard]] Json creator_json(const ReportCreator& creator) {
  Json out{{"pid", number_or_null(creator.pid)},
          {"tid", number_or_null(creator.tid)},
          {"comm", text_or_null(creator.comm)},
          {"thread", text_or_null(creator.thread)},
          {"exe", text_or_null(creator.exe)},
          {"cgroup", text_or_null(creator.cgroup)},
          {"container", text_or_null(creator.container)},
          {"goroutine", number_or_null(creator.goroutine)},
          {"count", creator.count}};
  if (creator.goroutines > 1) out["goroutines"] = creator.goroutines;
  return out;
}

[[nodiscard]] Json rules_json(const Finding& finding) {
  Json rules = Json::array();
  for (const Evidence& evidence : finding.evidence) {
    rules.push_back(Json{{"rule", valid_utf8(evidence.rule)}, {"evidence", valid_utf8(evidence.text)}});
  }
  return rules;
}

[[nodiscard]] Json finding_json(const ReportFinding& finding) {
  const Finding& judged = finding.finding;
  Json states = Json::object();
  for (const auto& [state, count] : finding.states) states[valid_utf8(state)] = count;
  Json peers = Json::array();
  for (const auto& [peer, count] : finding.peers) {
    Json entry = endpoint_json(peer);
    entry["count"] = count;
    peers.push_back(std::move(entry));
  }
  for (const auto& [path, count] : finding.paths) {
    peers.push_back(Json{{"address", valid_utf8(path)}, {"port", 0}, {"count", count}});
  }
  Json creators = Json::array();
  for (const ReportCreator& creator : finding.creators) creators.push_back(creator_json(creator));
  Json closed_at = Json::array();
  for (const ReportClose& close : finding.closed_at) {
    closed_at.push_back(
        Json{{"count", close.count}, {"how", valid_utf8(close.how)}, {"stack", stack_json(close.stack)}});
  }
  Json sockets = Json::array();
  for (const ReportSocket& socket : finding.sockets) sockets.push_back(socket_json(socket));

  Json out{{"site", valid_utf8(finding.site)},
           {"verdict", judged.evidence.empty() ? Json(nullptr) : Json(to_string(judged.verdict))},
           {"confidence", std::clamp(rounded(judged.confidence, 1e2), 0.0, 1.0)},
           {"created", judged.created},
           {"closed", judged.closed},
           {"leaked", judged.leaked},
           {"rules", rules_json(judged)},
           {"protocol", to_string(judged.site.protocol)},
           {"origin", to_string(judged.site.origin)},
           {"states", std::move(states)},
           {"peers", std::move(peers)},
           {"creators", std::move(creators)},
           {"created_at", stack_json(finding.created_at)}};
  if (finding.goroutine_created_at) out["goroutine_created_at"] = stack_json(*finding.goroutine_created_at);
  if (!finding.goroutine_ancestors.empty()) {
    Json ancestors = Json::array();
    for (const ReportAncestor& ancestor : finding.goroutine_ancestors) {
      ancestors.push_back(Json{{"goroutine", number_or_null(ancestor.goroutine)},
                               {"exact", ancestor.exact},
                               {"stack", stack_json(ancestor.stack)}});
    }
    out["goroutine_ancestors"] = std::move(ancestors);
  }
  if (!finding.caller_why.empty()) out["caller_why"] = valid_utf8(finding.caller_why);
  if (!finding.ancestors_why.empty()) out["goroutine_ancestors_why"] = valid_utf8(finding.ancestors_why);
  if (finding.listener_created_at) out["listener_created_at"] = stack_json(*finding.listener_created_at);
  out["closed_at"] = std::move(closed_at);
  Json touched = Json::array();
  for (const ReportTouch& touch : finding.last_touched_at) {
    touched.push_back(
        Json{{"count", touch.count}, {"what", valid_utf8(touch.what)}, {"stack", stack_json(touch.stack)}});
  }
  out["last_touched_at"] = std::move(touched);
  out["sockets"] = std::move(sockets);
  return out;
}

[[nodiscard]] Json target_json(const TargetFacts& target) {
  Json out{{"kind", valid_utf8(target.kind)}, {"pids", target.pids}};
  if (!target.types.empty()) out["types"] = target.types;
  if (target.kind == "container") out["id"] = valid_utf8(target.id);
  if (target.kind == "container" || target.kind == "cgroup") out["path"] = valid_utf8(target.path);
  if (target.kind != "command" && target.command.empty()) return out;
  Json command = Json::array();
  for (const std::string& argument : target.command) command.push_back(valid_utf8(argument));
  out["command"] = std::move(command);
  out["exit_status"] = target.exit_status ? Json(*target.exit_status) : Json(nullptr);
  return out;
}

[[nodiscard]] Json ownerless_json(const Report& report) {
  Json out = Json::array();
  for (const ReportOwnerless& group : report.ownerless) {
    for (const ReportOwnerless::Socket& socket : group.sockets) {
      Json entry = socket_json(socket.socket);
      entry["cause"] = to_string(group.cause);
      entry["evidence"] = text_or_null(socket.evidence);
      entry["remedy"] = text_or_null(remedy_for(group.cause));
      out.push_back(std::move(entry));
    }
  }
  return out;
}

[[nodiscard]] Json open_socket_json(const ReportOpenSocket& row) {
  const SocketRecord& record = row.socket.record;
  Json out = socket_json(row.socket);
  out["origin"] = to_string(record.origin);
  out["accepted"] = !record.unaccepted;
  out["site"] = text_or_null(row.site);
  out["cause"] = text_or_null(row.cause);
  out["creator"] = nullptr;
  if (record.creator.process.pid.value != 0) {
    out["creator"] = Json{{"pid", record.creator.process.pid.value}, {"tid", record.creator.tid.value},
                          {"thread", text_or_null(record.comm)}};
  }
  return out;
}

[[nodiscard]] Json limits_json(const Report& report) {
  Json out = Json::array();
  for (const ReportLimit& limit : report.limits) {
    out.push_back(
        Json{{"pid", limit.pid}, {"comm", text_or_null(limit.comm)}, {"fds", limit.used}, {"rlimit", limit.limit}});
  }
  return out;
}

[[nodiscard]] Json completeness_json(const Report& report) {
  Json counters = Json::object();
  for (std::size_t i = 0; i < kCounterFacts.size(); ++i) {
    if (report.counters.at(i) != 0) counters[std::string(kCounterFacts[i].name)] = report.counters.at(i);
  }
  return {{"complete", report.complete && report.counters.complete()}, {"counters", std::move(counters)}};
}

}  // namespace

std::string write_json(const Report& report) {
  Json hooks = Json::object();
  for (const HookChoice& choice : report.hooks) hooks[valid_utf8(choice.need)] = valid_utf8(choice.hook);
  Json findings = Json::array();
  for (const ReportFinding& finding : report.findings) findings.push_back(finding_json(finding));
  std::uint64_t ownerless = 0;
  for (const ReportOwnerless& group : report.ownerless) ownerless += group.count;

  Json out{
      {"schema", "sockleak.report/1"},
      {"tool", {{"version", valid_utf8(report.tool_version)}}},
      {"host",
       {{"kernel", text_or_null(report.host.kernel)},
        {"arch", text_or_null(report.host.arch)},
        {"boot_id", text_or_null(report.host.boot_id)}}},
      {"target", target_json(report.target)},
      {"window",
       {{"start", text_or_null(report.window.start)},
        {"end", text_or_null(report.window.end)},
        {"seconds", rounded(report.window.seconds, 1e3)}}},
      {"hooks", std::move(hooks)},
      {"completeness", completeness_json(report)},
      {"totals",
       {{"created", report.created}, {"closed", report.closed}, {"open", report.open}, {"leaked", report.leaked},
        {"ownerless", ownerless}}},
      {"open_by",
       {{"listening", report.account.listening}, {"in_use", report.account.in_use}, {"pooled", report.account.pooled},
        {"kept", report.account.kept}, {"undecided", report.account.undecided}}},
      {"findings", std::move(findings)},
      {"ownerless", ownerless_json(report)},
      {"ports", ports_json(report)},
      {"limits", limits_json(report)},
      {"other_families", other_families_json(report)}};
  if (report.counting) out["counting"] = counting_json(*report.counting);
  if (report.actions) {
    Json actions = Json::array();
    for (const ReportAction& action : report.actions->sockets) actions.push_back(action_json(action));
    out["actions"] = Json{{"dry_run", report.actions->dry_run}, {"sockets", std::move(actions)}};
  }
  if (report.sites) {
    Json sites = Json::array();
    for (const ReportFinding& site : *report.sites) sites.push_back(finding_json(site));
    out["sites"] = std::move(sites);
    Json open = Json::array();
    for (const ReportOpenSocket& row : report.open_sockets) open.push_back(open_socket_json(row));
    out["open_sockets"] = std::move(open);
  }
  return out.dump(kIndent, ' ', true) + '\n';
}

}  // namespace sockleak
