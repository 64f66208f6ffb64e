#include "app/session.hpp"

#include <sys/utsname.h>

#include <array>
#include <ctime>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "app/version.hpp"

namespace sockleak {
namespace {

using Json = nlohmann::ordered_json;

/// A member if it is there; a null otherwise.
[[nodiscard]] const Json& member(const Json& object, const char* name) {
  static const Json null;
  if (!object.is_object()) return null;
  const auto found = object.find(name);
  return found == object.end() ? null : *found;
}

[[nodiscard]] std::string text(const Json& object, const char* name) {
  const Json& value = member(object, name);
  return value.is_string() ? value.get<std::string>() : std::string();
}

template <typename T>
[[nodiscard]] T number(const Json& object, const char* name, T otherwise) {
  const Json& value = member(object, name);
  if (!value.is_number_integer()) return otherwise;
  if (value.is_number_unsigned()) {
    const auto wide = value.get<std::uint64_t>();
    return wide <= static_cast<std::uint64_t>(std::numeric_limits<T>::max()) ? static_cast<T>(wide) : otherwise;
  }
  const auto wide = value.get<std::int64_t>();
  if (std::numeric_limits<T>::min() == 0 || wide < static_cast<std::int64_t>(std::numeric_limits<T>::min())) {
    return otherwise;  // negative
  }
  return static_cast<T>(wide);
}

[[nodiscard]] Duration duration(const Json& object, const char* name, Duration otherwise) {
  const Json& value = member(object, name);
  if (!value.is_number_unsigned()) return otherwise;
  constexpr std::uint64_t kLongest = std::uint64_t{400} * 24 * 3600 * 1'000'000'000;  // keeps sums of times in range
  const auto ns = value.get<std::uint64_t>();
  return ns <= kLongest ? Duration(static_cast<std::int64_t>(ns)) : otherwise;
}

[[nodiscard]] Json target_json(const TargetFacts& target) {
  Json out{{"kind", target.kind}, {"pids", target.pids}, {"command", target.command}};
  if (!target.types.empty()) out["types"] = target.types;
  if (!target.path.empty()) out["path"] = target.path;
  if (!target.id.empty()) out["id"] = target.id;
  if (target.exit_status) out["exit_status"] = *target.exit_status;
  return out;
}

[[nodiscard]] TargetFacts target_of(const Json& json) {
  TargetFacts target;
  target.kind = text(json, "kind");
  target.path = text(json, "path");
  target.id = text(json, "id");
  for (const Json& type : member(json, "types")) {
    if (type.is_string()) target.types.push_back(type.get<std::string>());
  }
  for (const Json& pid : member(json, "pids")) {
    if (pid.is_number_unsigned()) target.pids.push_back(pid.get<std::uint32_t>());
  }
  for (const Json& argument : member(json, "command")) {
    if (argument.is_string()) target.command.push_back(argument.get<std::string>());
  }
  if (member(json, "exit_status").is_number_integer()) target.exit_status = number(json, "exit_status", 0);
  return target;
}

[[nodiscard]] Json names_json(const ProcessNames& names) {
  constexpr std::size_t kLimit = std::size_t{4} << 20;  // of the 8 MiB that a recording gives to all facts
  std::size_t used = 0;
  Json out = Json::array();
  for (const auto& [process, name] : names.all()) {
    used += name.comm.size() + name.exe.size() + name.cgroup.size() + 64;
    if (used > kLimit) break;
    out.push_back(Json{{"pid", process.pid.value}, {"start_ns", process.start_ns}, {"comm", name.comm},
                       {"exe", name.exe}, {"cgroup", name.cgroup}});
  }
  return out;
}

[[nodiscard]] Json actions_json(const ReportActions& actions) {
  Json sockets = Json::array();
  for (const ReportAction& action : actions.sockets) sockets.push_back(action_json(action));
  return {{"dry_run", actions.dry_run}, {"sockets", std::move(sockets)}};
}

[[nodiscard]] ReportAction::End end_of(const Json& json) {
  return {text(json, "address"), number<std::uint16_t>(json, "port", 0)};
}

[[nodiscard]] ReportAction action_of(const Json& json) {
  ReportAction action;
  action.cookie = number<std::uint64_t>(json, "cookie", 0);
  action.protocol = text(json, "protocol");
  action.state = text(json, "state");
  action.local = end_of(member(json, "local"));
  action.remote = end_of(member(json, "remote"));
  action.netns = number<std::uint64_t>(json, "netns", 0);
  action.cause = text(json, "cause");
  for (const Json& holder : member(json, "holders")) {
    action.holders.push_back(
        {number<std::uint32_t>(holder, "pid", 0), text(holder, "comm"), number<std::int32_t>(holder, "fd", -1)});
  }
  action.allowed = member(json, "allowed") == true;
  action.why = text(json, "why");
  action.owner_sees = text(json, "owner_sees");
  action.stays = text(json, "stays");
  action.result = text(json, "result");
  action.result_why = text(json, "result_why");
  return action;
}

[[nodiscard]] std::optional<ReportActions> actions_of(const Json& json) {
  if (!json.is_object()) return std::nullopt;
  ReportActions actions{member(json, "dry_run") == true, {}};
  for (const Json& socket : member(json, "sockets")) actions.sockets.push_back(action_of(socket));
  return actions;
}

[[nodiscard]] Json ports_json(const std::vector<ReportPortUse>& ports) {
  Json out = Json::array();
  for (const ReportPortUse& use : ports) {
    out.push_back(Json{{"netns", use.netns}, {"local", use.local_address}, {"remote", use.remote_address},
                       {"port", use.remote_port}, {"used", use.used}, {"range", use.range}});
  }
  return out;
}

[[nodiscard]] std::vector<ReportPortUse> ports_of(const Json& json) {
  std::vector<ReportPortUse> ports;
  for (const Json& use : json) {
    ports.push_back({number<std::uint64_t>(use, "netns", 0), text(use, "local"), text(use, "remote"),
                     number<std::uint16_t>(use, "port", 0), number<std::uint64_t>(use, "used", 0),
                     number<std::uint64_t>(use, "range", 0)});
  }
  return ports;
}

[[nodiscard]] Json families_json(const std::vector<ReportFamily>& families) {
  Json out = Json::array();
  for (const ReportFamily& one : families) out.push_back(Json{{"family", one.family}, {"count", one.count}});
  return out;
}

[[nodiscard]] std::vector<ReportFamily> families_of(const Json& json) {
  std::vector<ReportFamily> families;
  for (const Json& one : json) families.push_back({text(one, "family"), number<std::uint64_t>(one, "count", 0)});
  return families;
}

[[nodiscard]] std::uint64_t ns_of(Duration duration) {
  return static_cast<std::uint64_t>(duration.count());
}

}  // namespace

Session new_session(const Options& options) {
  Session session;
  session.tool_version = kVersion;
  session.host = host_facts();
  session.target.kind = "command";
  session.target.command = options.command;
  session.check = options.subcommand == Subcommand::kCheck;
  session.judge.older = options.older.value_or(session.judge.older);
  session.judge.at_exit = session.check || !options.command.empty();
  session.growth_window = options.interval.value_or(session.growth_window);
  session.max_leaks = options.max_leaks;
  session.leak_exit_code = options.leak_exit_code;
  session.fail_on_suspect = options.fail_on_suspect;
  session.only = options.only;
  session.warmup = options.warmup;
  return session;
}

std::string session_json(const Session& session) {
  Json hooks = Json::array();
  for (const HookChoice& choice : session.hooks) hooks.push_back(Json{{"need", choice.need}, {"hook", choice.hook}});
  Json out{
      {"tool", session.tool_version},
      {"host", {{"kernel", session.host.kernel}, {"arch", session.host.arch}, {"boot_id", session.host.boot_id}}},
      {"target", target_json(session.target)},
      {"hooks", std::move(hooks)},
      {"started_ms", session.started_ms},
      {"judge",
       {{"older_ns", ns_of(session.judge.older)},
        {"growth_windows", session.judge.growth_windows},
        {"at_exit", session.judge.at_exit}}},
      {"growth_window_ns", ns_of(session.growth_window)},
      {"check", session.check},
      {"max_leaks", session.max_leaks},
      {"leak_exit_code", session.leak_exit_code},
      {"fail_on_suspect", session.fail_on_suspect},
      {"only", session.only},
      {"warmup_ns", ns_of(session.warmup)},
      {"ports", ports_json(session.ports)},
      {"other_families", families_json(session.other_families)},
      {"processes", names_json(session.names)}};
  if (session.actions) out["actions"] = actions_json(*session.actions);
  // Programs name themselves as they like: bytes that are no UTF-8 are replaced.
  return out.dump(-1, ' ', true, Json::error_handler_t::replace);
}

Session parse_session(const std::string& json) {
  const Json facts = Json::parse(json, nullptr, false);
  Session session;
  session.tool_version = text(facts, "tool");
  const Json& host = member(facts, "host");
  session.host = {text(host, "kernel"), text(host, "arch"), text(host, "boot_id")};
  session.target = target_of(member(facts, "target"));
  for (const Json& choice : member(facts, "hooks"))
    session.hooks.push_back({text(choice, "need"), text(choice, "hook")});
  session.started_ms = number<std::int64_t>(facts, "started_ms", 0);
  const Json& judge = member(facts, "judge");
  session.judge.older = duration(judge, "older_ns", session.judge.older);
  session.judge.growth_windows = number(judge, "growth_windows", session.judge.growth_windows);
  session.judge.at_exit = member(judge, "at_exit") == true;
  session.growth_window = duration(facts, "growth_window_ns", session.growth_window);
  if (session.growth_window < std::chrono::milliseconds(1)) session.growth_window = TrackerOptions{}.growth_window;
  session.check = member(facts, "check") != false;
  session.max_leaks = number(facts, "max_leaks", session.max_leaks);
  session.leak_exit_code = number(facts, "leak_exit_code", session.leak_exit_code) & 0xff;
  session.fail_on_suspect = member(facts, "fail_on_suspect") == true;
  for (const Json& rule : member(facts, "only")) {
    if (rule.is_string()) session.only.push_back(rule.get<std::string>());
  }
  session.warmup = duration(facts, "warmup_ns", session.warmup);
  session.ports = ports_of(member(facts, "ports"));
  session.other_families = families_of(member(facts, "other_families"));
  for (const Json& process : member(facts, "processes")) {
    session.names.put({Pid{number<std::uint32_t>(process, "pid", 0)}, number<std::uint64_t>(process, "start_ns", 0)},
                      {text(process, "comm"), text(process, "exe"), text(process, "cgroup")});
  }
  session.actions = actions_of(member(facts, "actions"));
  return session;
}

HostFacts host_facts() {
  HostFacts host;
  utsname names{};
  if (::uname(&names) == 0) {
    host.kernel = names.release;
    host.arch = names.machine;
  }
  std::ifstream boot_id("/proc/sys/kernel/random/boot_id");
  std::getline(boot_id, host.boot_id);
  return host;
}

std::string rfc3339(std::int64_t ms_since_1970) {
  constexpr std::int64_t kYear10000 = 253'402'300'800'000;  // RFC 3339 has four digits for the year
  if (ms_since_1970 <= 0 || ms_since_1970 >= kYear10000) return {};
  const std::time_t seconds = ms_since_1970 / 1000;
  std::tm parts{};
  std::array<char, 64> text{};
  if (::gmtime_r(&seconds, &parts) == nullptr) return {};
  if (std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S.", &parts) == 0) return {};
  const std::string ms = std::to_string(1000 + ms_since_1970 % 1000);
  return std::string(text.data()).append(ms, 1).append("Z");
}

}  // namespace sockleak
