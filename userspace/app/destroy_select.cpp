#include "app/destroy_select.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "app/raw_options.hpp"
#include "app/session.hpp"
#include "process/procfs.hpp"

namespace sockleak {
namespace {

using Json = nlohmann::json;

void add_cookies(const Json& holder, const char* key, std::unordered_set<SocketId>& into) {
  const auto list = holder.find(key);
  if (list == holder.end() || !list->is_array()) return;
  for (const Json& socket : *list) {
    if (!socket.is_object()) continue;
    const auto cookie = socket.find("cookie");
    if (cookie != socket.end() && cookie->is_number_unsigned() && *cookie != 0) {
      into.insert(SocketId{cookie->get<std::uint64_t>()});
    }
  }
}

[[nodiscard]] std::string text_of(const Json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

[[nodiscard]] Result<std::string> read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail_os(ErrorKind::kInput, "cannot open " + path);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (file.bad()) return fail(ErrorKind::kInput, "cannot read " + path);
  return text;
}

class Subjects {
 public:
  Subjects(const act::SocketList& list, bool cgroups) : all_seen_(list.all_holders_seen), cgroups_(cgroups) {}

  /// Borrows from `socket` and from this object.
  [[nodiscard]] FilterSubject of(const act::SocketFacts& socket) {
    FilterSubject subject;
    subject.socket = socket.id;
    subject.inode = socket.inode;
    subject.protocol = socket.addresses.protocol;
    subject.state = socket.state;
    subject.addresses = socket.addresses;
    subject.netns = socket.netns;
    subject.at_least_old = socket.silent;
    subject.holders_known = all_seen_ || socket.inode == 0;
    // Who listens does not hold what it has not accepted.
    const bool held = socket.cause != act::Cause::kUnaccepted && !socket.holders.empty();
    if (held || subject.holders_known) subject.ownerless = !held;
    if (socket.cause != act::Cause::kUnknown && socket.cause != act::Cause::kHeld) {
      subject.cause = act::to_string(socket.cause);
    }
    if (!held) return subject;
    for (const FdHolder& holder : socket.holders) {
      subject.holders.push_back({holder.pid, holder.pid, holder.comm, cgroup(holder.pid)});
    }
    return subject;
  }

 private:
  [[nodiscard]] std::string_view cgroup(Pid pid) {
    if (!cgroups_) return {};
    const auto [entry, added] = known_.try_emplace(pid);
    if (added) entry->second = Procfs().cgroup(pid);
    return entry->second;
  }

  bool all_seen_;
  bool cgroups_;
  std::unordered_map<Pid, std::string> known_;
};

[[nodiscard]] bool held_by(const FilterSubject& subject, const std::vector<Pid>& pids) {
  return std::any_of(subject.holders.begin(), subject.holders.end(), [&](const FilterHolder& holder) {
    return std::find(pids.begin(), pids.end(), holder.pid) != pids.end();
  });
}

}  // namespace

Result<ReportedSockets> parse_reported_sockets(std::string_view json, std::string_view site) {
  const Json report = Json::parse(json, nullptr, false);
  if (!report.is_object() || !text_of(report, "schema").starts_with("sockleak.report/")) {
    return fail(ErrorKind::kInput, "not a report of sockleak", "make one with sockleak trace --json -o FILE");
  }
  if (text_of(report, "schema") != "sockleak.report/1") {
    return fail(ErrorKind::kInput, "a report of another version of sockleak: " + quote(text_of(report, "schema")));
  }
  ReportedSockets out;
  const auto host = report.find("host");
  if (host != report.end()) out.boot_id = text_of(*host, "boot_id");
  bool found = site.empty();
  const auto findings = report.find("findings");
  if (findings != report.end() && findings->is_array()) {
    for (const Json& finding : *findings) {
      if (!finding.is_object() || (!site.empty() && text_of(finding, "site") != site)) continue;
      found = true;
      add_cookies(finding, "sockets", out.sockets);
    }
  }
  if (!found) return fail(ErrorKind::kInput, "the report has no site " + quote(site));
  if (site.empty()) add_cookies(report, "ownerless", out.sockets);
  return out;
}

Result<Selection> make_selection(const DestroyOptions& options, const std::vector<Pid>& pids) {
  Selection selection;
  auto filter = Filter::parse(options.filter);
  if (!filter) return tl::unexpected(filter.error());
  selection.filter = std::move(*filter);
  selection.pids = pids;
  if (options.from.empty()) return selection;
  const auto text = read_whole(options.from);
  if (!text) return tl::unexpected(text.error());
  auto reported = parse_reported_sockets(*text, options.site);
  if (!reported) {
    Error error = reported.error();
    error.what = options.from + ": " + error.what;
    return tl::unexpected(error);
  }
  if (reported->boot_id != host_facts().boot_id) {
    return fail(ErrorKind::kInput, options.from + ": not from this machine since it was started",
                "what identifies a socket there means another one, or none, here");
  }
  selection.reported = std::move(*reported);
  return selection;
}

std::vector<act::SocketFacts> select(act::SocketList list, const Selection& selection) {
  Subjects subjects(list, selection.filter.mentions("cgroup"));
  std::vector<act::SocketFacts> named;
  for (act::SocketFacts& socket : list.sockets) {
    if (selection.reported && !selection.reported->sockets.contains(socket.id)) continue;
    const FilterSubject subject = subjects.of(socket);
    if (!selection.pids.empty() && !held_by(subject, selection.pids)) continue;
    if (selection.filter.matches(subject)) named.push_back(std::move(socket));
  }
  return named;
}

}  // namespace sockleak
