// sockleak.scan/1. The list of sockets may be long (hundreds of thousands): its rows are appended by hand, everything
// else goes through the JSON library.
#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "scan/cause.hpp"
#include "scan/close_wait.hpp"
#include "scan/others.hpp"
#include "scan/scan_report.hpp"
#include "scan/settings.hpp"

namespace sockleak {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kPiece = 128 * 1024;  // because the cache holds it, and a pipe half of it

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(valid_utf8(text)); }

Json endpoint_json(const Endpoint& endpoint) {
  return {{"address", text_or_null(address_text(endpoint))}, {"port", endpoint.port}};
}

void append(std::string& out, std::uint64_t number) {
  std::array<char, 24> digits{};
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  out.append(digits.data(), end);
}

void append_signed(std::string& out, std::int64_t number) {
  if (number < 0) out += '-';
  append(out, static_cast<std::uint64_t>(number < 0 ? -number : number));
}

void append_quoted(std::string& out, std::string_view text) {
  const auto harmless = [](char c) { return c >= 0x20 && c < 0x7F && c != '"' && c != '\\'; };
  if (std::all_of(text.begin(), text.end(), harmless)) {
    out.append("\"").append(text).append("\"");
  } else {
    out += Json(valid_utf8(text)).dump();
  }
}

/// Most addresses are IPv4: inet_ntop() alone would take as long as all the rest.
void append_ipv4(std::string& out, const std::array<std::uint8_t, 16>& address) {
  out += '"';
  for (std::size_t i = 0; i < 4; ++i) {
    if (i != 0) out += '.';
    append(out, address[i]);
  }
  out += '"';
}

void append_endpoint(std::string& out, const Endpoint& endpoint) {
  out += "{\"address\":";
  if (endpoint.family == Family::kInet) {
    append_ipv4(out, endpoint.address);
  } else if (const std::string address = address_text(endpoint); address.empty()) {
    out += "null";
  } else {
    append_quoted(out, address);
  }
  out += ",\"port\":";
  append(out, endpoint.port);
  out += '}';
}

void append_seconds(std::string& out, const std::optional<Duration>& duration) {
  if (!duration) {
    out += "null";
    return;
  }
  const auto milliseconds = static_cast<std::uint64_t>(duration->count() / 1'000'000);
  append(out, milliseconds / 1000);
  const std::string fraction = std::to_string(1000 + milliseconds % 1000);
  out.append(".").append(fraction, 1);
}

void append_holder(std::string& out, const ScanHolder& holder) {
  out += "{\"pid\":";
  append(out, holder.pid.value);
  out += ",\"tid\":";
  append(out, holder.tid.value);
  out += ",\"comm\":";
  append_quoted(out, holder.comm);
  out += ",\"fd\":";
  if (holder.place.value >= 0) {
    append_signed(out, holder.place.value);
  } else {
    out += "null";
  }
  out += ",\"via\":\"";
  out += to_string(holder.via);
  out += holder.close_on_exec ? "\",\"cloexec\":true}" : "\",\"cloexec\":false}";
}

void append_socket(std::string& out, const ScanSocket& socket) {
  out += "{\"cookie\":";
  append(out, socket.cookie.value);
  out.append(",\"protocol\":\"").append(to_string(socket.addresses.protocol));
  out.append("\",\"state\":\"").append(to_string(socket.state));
  out += "\",\"local\":";
  append_endpoint(out, socket.addresses.local);
  out += ",\"remote\":";
  append_endpoint(out, socket.addresses.remote);
  out += ",\"netns\":";
  append(out, socket.netns.value);
  out += ",\"inode\":";
  append(out, socket.inode);
  out += ",\"idle_s\":";
  append_seconds(out, socket.idle);
  out += ",\"unread_bytes\":";
  if (const auto bytes = unread(socket)) append(out, *bytes);
  else out += "null";
  out += ",\"end_read\":";
  const auto end = end_read(socket);
  out += !end ? "null" : *end ? "true" : "false";
  out += ",\"dwell_s\":";
  append_seconds(out, dwell(socket));
  out += ",\"waiter\":";
  if (const char* waiter = to_string(socket.waiter); *waiter != '\0') append_quoted(out, waiter);
  else out += "null";
  out += ",\"rx_bytes\":";
  append(out, socket.rx_bytes);
  out += ",\"tx_bytes\":";
  append(out, socket.tx_bytes);
  out += ",\"ownerless\":";
  out += !socket.ownerless ? "null" : *socket.ownerless ? "true" : "false";
  out += ",\"cause\":";
  if (socket.cause == Cause::kNone) {
    out += "null";
  } else {
    append_quoted(out, to_string(socket.cause));
  }
  out += ",\"evidence\":";
  if (socket.evidence.empty()) {
    out += "null";
  } else {
    append_quoted(out, socket.evidence);
  }
  out += is_invisible_to_ss(socket) ? ",\"invisible_to_ss\":true" : ",\"invisible_to_ss\":false";
  out += ",\"holders\":[";
  for (std::size_t i = 0; i < socket.holders.size(); ++i) {
    if (i != 0) out += ',';
    append_holder(out, socket.holders[i]);
  }
  out += "]}";
}

Json port_json(const PortReport& ports) {
  Json blocked = Json::array();
  for (const BlockedPort& one : ports.blocked) {
    blocked.push_back({{"port", one.port}, {"listening", one.listening}, {"by", text_or_null(one.by)}});
  }
  const auto use_json = [&](const PortUse& use) {
    Json out{{"local_address", text_or_null(address_text(use.local))}};
    if (use.remote.port != 0) out["remote"] = endpoint_json(use.remote);
    out["used"] = use.used;
    out["range"] = ports.range;
    out["percent"] = static_cast<double>(static_cast<std::int64_t>(ports.percent(use.used) * 10)) / 10;
    out["time_wait"] = use.time_wait;
    out["leaked"] = use.leaked;
    out["seconds_left"] = use.seconds_left ? Json(*use.seconds_left) : Json(nullptr);
    return out;
  };
  Json destinations = Json::array(), binds = Json::array();
  for (const PortUse& use : ports.destinations) destinations.push_back(use_json(use));
  for (const PortUse& use : ports.binds) binds.push_back(use_json(use));
  return {{"netns", ports.netns.value},
          {"name", text_or_null(ports.name)},
          {"first", ports.first},
          {"last", ports.last},
          {"range", ports.range},
          {"blocked", std::move(blocked)},
          {"destinations", std::move(destinations)},
          {"binds", std::move(binds)}};
}

Json causes_json(const ScanReport& report) {
  std::map<Cause, std::uint64_t> counts;
  for (const std::size_t index : report.selected) ++counts[report.snapshot.sockets[index].cause];
  Json causes = Json::array();
  for (const auto& [cause, count] : counts) {
    if (cause == Cause::kNone) continue;
    causes.push_back({{"cause", to_string(cause)}, {"count", count}, {"remedy", text_or_null(remedy_for(cause, report.snapshot.through_bpf))}});
  }
  return causes;
}

Json totals_json(const ScanReport& report) {
  std::map<std::string, std::uint64_t> states;
  std::uint64_t ownerless = 0, invisible = 0;
  for (const std::size_t index : report.selected) {
    const ScanSocket& socket = report.snapshot.sockets[index];
    if (socket.addresses.protocol == Protocol::kTcp) ++states[to_string(socket.state)];
    ownerless += counts_as_ownerless(socket) ? 1U : 0U;
    invisible += is_invisible_to_ss(socket) ? 1U : 0U;
  }
  return {{"sockets", report.snapshot.sockets.size()},
          {"selected", report.selected.size()},
          {"ownerless", ownerless},
          {"invisible", invisible},
          {"states", states}};
}

Json listeners_json(const ScanReport& report) {
  Json listeners = Json::array();
  for (const std::size_t index : report.selected) {
    const ScanSocket& socket = report.snapshot.sockets[index];
    if (socket.state != TcpState::kListen || socket.ack_backlog == 0) continue;
    listeners.push_back({{"cookie", socket.cookie.value},
                         {"local", endpoint_json(socket.addresses.local)},
                         {"netns", socket.netns.value},
                         {"waiting", socket.ack_backlog},
                         {"backlog", socket.max_ack_backlog}});
  }
  return listeners;
}

Json inherited_json(const ScanReport& report) {
  Json out = Json::array();
  const std::vector<SocketId>& ids = report.snapshot.inherited;
  for (const std::size_t index : report.selected) {
    const ScanSocket& socket = report.snapshot.sockets[index];
    if (std::find(ids.begin(), ids.end(), socket.cookie) == ids.end()) continue;
    Json holders = Json::array();
    for (const ScanHolder& holder : socket.holders) {
      holders.push_back({{"pid", holder.pid.value}, {"comm", text_or_null(holder.comm)}, {"fd", holder.place.value}});
    }
    out.push_back({{"cookie", socket.cookie.value},
                   {"local", endpoint_json(socket.addresses.local)},
                   {"netns", socket.netns.value},
                   {"holders", std::move(holders)}});
  }
  return out;
}

Json others_json(const ScanReport& report) {
  Json families = Json::array(), holders = Json::array();
  for (const OtherCount& one : others_by_family(report)) families.push_back({{"family", one.name}, {"count", one.count}});
  constexpr std::size_t kMostHolders = 100;
  for (const OtherCount& one : others_by_holder(report)) {
    if (holders.size() == kMostHolders) break;
    holders.push_back({{"pid", one.pid.value}, {"comm", text_or_null(one.name)}, {"count", one.count}});
  }
  return {{"count", report.selected_others.size()}, {"families", std::move(families)}, {"holders", std::move(holders)}};
}

Json close_wait_json(const ScanReport& report) {
  Json groups = Json::array();
  for (const CloseWaitGroup& group : close_wait_by_holder(report)) {
    Json ages = Json::array();
    for (const CloseWaitAge& age : group.ages) ages.push_back({{"at_least_s", seconds(age.at_least)}, {"count", age.count}});
    groups.push_back({{"pid", group.pid.value == 0 ? Json(nullptr) : Json(group.pid.value)},
                      {"comm", text_or_null(group.comm)},
                      {"count", group.count},
                      {"oldest_s", seconds(group.oldest)},
                      {"ages", std::move(ages)}});
  }
  return groups;
}

}  // namespace

Result<void> write_scan_json(const ScanReport& report, const ScanSink& sink) {
  const Snapshot& snapshot = report.snapshot;
  Json gaps = Json::array(), limits = Json::array(), ports = Json::array(), settings = Json::array();
  for (const std::string& gap : snapshot.gaps) gaps.push_back(valid_utf8(gap));
  for (const DescriptorUse& use : snapshot.descriptors) {
    limits.push_back({{"pid", use.pid.value}, {"comm", valid_utf8(use.comm)}, {"fds", use.used}, {"rlimit", use.limit}});
  }
  for (const PortReport& report_of_ports : report.ports) ports.push_back(port_json(report_of_ports));
  for (const NetworkNamespace& facts : snapshot.namespaces) {
    for (const Setting& setting : facts.settings) {
      settings.push_back({{"netns", facts.id.value},
                          {"name", setting.name},
                          {"value", text_or_null(setting.value)},
                          {"in_use", text_or_null(setting.in_use)},
                          {"meaning", meaning_of(setting.name)}});
    }
  }
  const Json head{{"schema", "sockleak.scan/1"},
                  {"tool", {{"version", report.host.tool_version}}},
                  {"host",
                   {{"kernel", text_or_null(report.host.kernel)},
                    {"arch", text_or_null(report.host.arch)},
                    {"boot_id", text_or_null(report.host.boot_id)}}},
                  {"time", report.time},
                  {"seconds", static_cast<double>(static_cast<std::int64_t>(snapshot.seconds * 1e6)) / 1e6},
                  {"method", snapshot.through_bpf ? "bpf" : "sock_diag"},
                  {"completeness", {{"complete", snapshot.gaps.empty()}, {"gaps", std::move(gaps)}}},
                  {"totals", totals_json(report)},
                  {"causes", causes_json(report)},
                  {"close_wait", close_wait_json(report)},
                  {"listeners", listeners_json(report)},
                  {"inherited", inherited_json(report)},
                  {"limits", std::move(limits)},
                  {"other_families", snapshot.through_bpf ? others_json(report) : Json(nullptr)},
                  {"ports", std::move(ports)},
                  {"settings", std::move(settings)},
                  {"exceeded", report.exceeded},
                  {"undecided", report.undecided}};
  std::string out = head.dump(1, ' ', true, Json::error_handler_t::replace);
  out.resize(out.size() - 2);  // "\n}"
  out += ",\n \"sockets\": [";
  for (std::size_t i = 0; i < report.selected.size(); ++i) {
    out += i == 0 ? "\n  " : ",\n  ";
    append_socket(out, snapshot.sockets[report.selected[i]]);
    if (out.size() < kPiece) continue;
    if (auto ok = sink(out); !ok) return ok;
    out.clear();
  }
  return sink(out += "\n ]\n}\n");
}

}  // namespace sockleak
