#include "app/destroy_select.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "app/destroy_facts.hpp"
#include "app/raw_options.hpp"
#include "app/session.hpp"
#include "app/socket_look.hpp"

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

[[nodiscard]] bool held_by(const ScanSocket& socket, const std::vector<Pid>& pids) {
  return std::any_of(socket.holders.begin(), socket.holders.end(), [&](const ScanHolder& holder) {
    return std::find(pids.begin(), pids.end(), holder.pid) != pids.end();
  });
}

/// By the processes and the report given; the filter is not asked.
[[nodiscard]] bool is_meant(const ScanSocket& socket, const Selection& selection) {
  if (selection.reported && !selection.reported->sockets.contains(socket.cookie)) return false;
  return selection.pids.empty() || held_by(socket, selection.pids);
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

std::vector<act::SocketFacts> select(const Snapshot& snapshot, const Selection& selection) {
  std::vector<std::size_t> meant = selected_sockets(snapshot, selection.filter);
  std::erase_if(meant, [&](std::size_t index) { return !is_meant(snapshot.sockets[index], selection); });
  return facts_of(snapshot, meant);
}

}  // namespace sockleak
