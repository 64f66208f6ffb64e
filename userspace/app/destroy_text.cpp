#include "app/destroy_text.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "app/version.hpp"
#include "base/text.hpp"
#include "report/phrases.hpp"

namespace sockleak {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kShown = 10;
constexpr std::size_t kHoldersNamed = 4;

[[nodiscard]] std::string sockets_text(std::size_t count) {
  return counted(count, "socket", "sockets");
}

[[nodiscard]] std::string name_of(const act::SocketHolder& holder) {
  return escape_terminal(holder.comm) + " (" + std::to_string(holder.pid.value) + ')';
}

/// "nginx (812), worker (813)", each process once.
[[nodiscard]] std::string holders_of(const act::SocketFacts& socket) {
  std::vector<std::string> names;
  for (const act::SocketHolder& holder : socket.holders) {
    if (holder.pid.value == 0) continue;
    const std::string name = name_of(holder);
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kHoldersNamed; ++i) text += (text.empty() ? "" : ", ") + names[i];
  if (names.size() > kHoldersNamed) text += " and " + std::to_string(names.size() - kHoldersNamed) + " more";
  return text;
}

[[nodiscard]] std::string cause_text(const act::SocketFacts& socket) {
  const std::string holders = holders_of(socket);
  const std::string of = holders.empty() ? "" : " of " + holders;
  if (act::is_listener(socket)) return "a listener" + of;
  if (socket.mptcp) return "the kernel's own, for an MPTCP connection" + of;
  switch (socket.cause) {
    case Cause::kAcceptQueue:
      return "not yet accepted by " + (holders.empty() ? "its listener" : holders);
    case Cause::kOrphan:
      return "closed by its owner, not yet by the peer";
    case Cause::kStuckExit:
      return "kept by the exit" + of + ", which does not end";
    case Cause::kInFlight:
      return holders.empty() ? "in a message that nobody can receive" : "in a message that " + holders + " has not received";
    case Cause::kRingSlot:
      return "in a slot of an io_uring" + of;
    case Cause::kRingRequest:
      return "kept by an io_uring request" + of;
    case Cause::kBlockedCall:
      return "kept by a call that waits on it" + of;
    case Cause::kMapping:
      return "mapped into the memory" + of;
    case Cause::kTimeWait:
    case Cause::kRequest:
      return "no owner by design";
    case Cause::kKernel:
    case Cause::kMptcpSubflow:
      return "the kernel's own";
    case Cause::kHidden:
    case Cause::kUnknown:
      return "holder unknown";
    case Cause::kNone:
    case Cause::kZombieLeader:
    case Cause::kUnsharedFiles:
      break;
  }
  return "held by " + holders;
}

[[nodiscard]] std::string socket_line(const act::SocketFacts& socket) {
  std::string line = "  " + act::to_string(socket);
  std::string fds;
  for (const act::SocketHolder& holder : socket.holders) {
    if (!act::is_held(socket) || holder.via != Via::kDescriptor) continue;
    fds += (fds.empty() ? "" : ", ") + std::to_string(holder.fd.value);
  }
  if (!fds.empty()) line += "  fd " + fds;
  return line + "  cookie " + std::to_string(socket.id.value) + '\n';
}

[[nodiscard]] std::string row(const char* name, const std::string& text) {
  if (text.empty()) return {};
  std::string line = "  " + std::string(name);
  line.resize(14, ' ');
  return line + text + '\n';
}

/// Keeps the order in which groups first appear.
template <typename Item, typename Key>
[[nodiscard]] std::vector<std::vector<const Item*>> grouped(const std::vector<Item>& items, Key key) {
  std::vector<std::vector<const Item*>> groups;
  std::map<std::string, std::size_t> index;
  for (const Item& item : items) {
    const auto [entry, added] = index.try_emplace(key(item), groups.size());
    if (added) groups.emplace_back();
    groups[entry->second].push_back(&item);
  }
  return groups;
}

[[nodiscard]] std::string lines_of(const std::vector<const act::Step*>& steps, bool every) {
  std::string out;
  const std::size_t shown = every ? steps.size() : std::min(steps.size(), kShown);
  for (std::size_t i = 0; i < shown; ++i) out += socket_line(steps[i]->socket);
  if (shown < steps.size()) out += "  and " + count_text(steps.size() - shown) + " more (-v names them)\n";
  return out;
}

[[nodiscard]] ReportAction::End end_of(const Endpoint& endpoint) {
  return {address_text(endpoint), endpoint.port};
}

}  // namespace

ReportAction action_of(const act::Step& step, const act::StepResult* result) {
  const act::SocketFacts& socket = step.socket;
  ReportAction action;
  action.cookie = socket.id.value;
  action.protocol = to_string(socket.addresses.protocol);
  action.state = to_string(socket.state);
  action.local = end_of(socket.addresses.local);
  action.remote = end_of(socket.addresses.remote);
  action.netns = socket.netns.value;
  action.cause = act::cause_word(socket);
  for (const act::SocketHolder& holder : socket.holders) {
    action.holders.push_back({holder.pid.value, holder.comm, static_cast<std::int32_t>(holder.fd.value)});
  }
  action.allowed = step.allowed;
  action.why = step.why;
  action.owner_sees = step.owner_sees;
  action.stays = step.stays;
  if (result == nullptr) return action;
  action.result = act::to_string(result->outcome);
  action.result_why = result->why;
  return action;
}

std::string plan_text(const act::Plan& plan, bool every) {
  const auto groups = grouped(plan.steps, [](const act::Step& step) {
    return std::string(step.allowed ? "1" : "0") + to_string(step.socket.state) + '\n' + cause_text(step.socket) +
           '\n' + step.why + '\n' + step.owner_sees;
  });
  const char* const verb = plan.method == act::Method::kShutdown ? "SHUT DOWN  " : "DESTROY  ";
  std::string out;
  for (const auto& steps : groups) {
    const act::Step& first = *steps.front();
    out += (first.allowed ? verb : "REFUSED  ") + sockets_text(steps.size()) + kDot + to_string(first.socket.state) +
           kDot + cause_text(first.socket) + '\n';
    out += lines_of(steps, every);
    out += row("why", first.why);
    if (first.allowed) out += row("owner sees", first.owner_sees.empty() ? "nothing: it has none" : first.owner_sees);
    out += row("stays", first.stays);
  }
  return out;
}

std::string stops_text(const std::vector<StopReport>& stops, Duration grace) {
  std::string out;
  for (const StopReport& stop : stops) {
    out += "STOP  " + escape_terminal(stop.comm) + " (" + std::to_string(stop.pid.value) + ")\n";
    out += row("how", "SIGTERM, SIGKILL after " + duration_text(grace) + "; all its sockets end with it");
    if (!stop.unit.empty()) {
      const std::string unit = escape_terminal(stop.unit);
      out += row("better", "it belongs to " + unit + ": systemctl restart " + unit);
    }
  }
  return out;
}

std::string results_text(const act::Plan& plan, const std::vector<act::StepResult>& results, bool every) {
  std::string out;
  struct Row {
    const act::Step* step;
    const act::StepResult* result;
  };
  std::vector<Row> rows;
  std::size_t done = 0, gone = 0, refused = 0;
  for (std::size_t i = 0; i < results.size(); ++i) {
    rows.push_back({&plan.steps[i], &results[i]});
    done += results[i].outcome == act::Outcome::kDone ? 1U : 0U;
    gone += results[i].outcome == act::Outcome::kAlreadyGone ? 1U : 0U;
    refused += results[i].outcome == act::Outcome::kRefused ? 1U : 0U;
  }
  // Refusals of the plan were said before; what is new is what the kernel refused.
  const auto groups = grouped(rows, [](const Row& item) {
    return std::string(act::to_string(item.result->outcome)) + item.result->why + (item.step->allowed ? "1" : "0");
  });
  for (const auto& group : groups) {
    const Row& first = *group.front();
    if (!first.step->allowed) continue;
    const bool refusal = first.result->outcome == act::Outcome::kRefused;
    if (!refusal && !every) continue;
    std::vector<const act::Step*> steps;
    for (const Row* item : group) steps.push_back(item->step);
    out += upper(act::to_string(first.result->outcome)) + "  " + sockets_text(steps.size()) + '\n';
    out += lines_of(steps, every) + row("why", first.result->why);
  }
  return out + count_text(done) + " done" + kDot + count_text(gone) + " already gone" + kDot + count_text(refused) +
         " refused\n";
}

std::string destroy_json(const act::Plan& plan, const std::vector<StopReport>& stops,
                         const std::vector<act::StepResult>& results, bool dry_run) {
  Json sockets = Json::array();
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    sockets.push_back(action_json(action_of(plan.steps[i], results.empty() ? nullptr : &results[i])));
  }
  Json processes = Json::array();
  for (const StopReport& stop : stops) {
    processes.push_back(Json{{"pid", stop.pid.value},
                             {"comm", valid_utf8(stop.comm)},
                             {"unit", stop.unit.empty() ? Json(nullptr) : Json(valid_utf8(stop.unit))},
                             {"result", stop.outcome.empty() ? Json(nullptr) : Json(stop.outcome)}});
  }
  const Json out{{"schema", "sockleak.destroy/1"},
                 {"tool", {{"version", kVersion}}},
                 {"method", plan.method == act::Method::kShutdown ? "shutdown" : "destroy"},
                 {"dry_run", dry_run},
                 {"processes", std::move(processes)},
                 {"sockets", std::move(sockets)}};
  return out.dump(2, ' ', true, Json::error_handler_t::replace) + '\n';
}

}  // namespace sockleak
