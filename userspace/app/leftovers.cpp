#include "app/leftovers.hpp"

#include <algorithm>
#include <cstdio>
#include <unordered_map>

#include "act/carry_out.hpp"
#include "app/acting.hpp"
#include "app/destroy_facts.hpp"
#include "app/destroy_text.hpp"
#include "app/socket_look.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "judge/leftovers.hpp"

namespace sockleak {
namespace {

using Judged = std::unordered_map<SocketId, const SocketRecord*>;

/// Who came by it after it was judged may have good reason: the verdict is not about them.
[[nodiscard]] std::string changed_hands(const act::SocketFacts& socket, const Judged& judged) {
  const SocketRecord& then = *judged.at(socket.id);
  const auto known = [&](const act::SocketHolder& now) {
    return std::any_of(then.holders.begin(), then.holders.end(),
                       [&](const Holder& holder) { return holder.process.pid == now.pid; });
  };
  const bool same = std::all_of(socket.holders.begin(), socket.holders.end(), known);
  return same ? "" : "another process holds it by now than when it was judged";
}

[[nodiscard]] bool may_act(const act::Plan& plan, const DestroyOptions& wanted) {
  if (wanted.yes) return true;
  std::fputs(plan_text(plan, false).c_str(), stderr);
  return agrees("destroy " + counted(plan.allowed(), "leftover", "leftovers") + '?');
}

}  // namespace

Result<ReportActions> destroy_leftovers(const Tracker& tracker, const JudgeOptions& judge, const DestroyOptions& wanted,
                                        Signals& signals) {
  Judged judged;
  for (const SocketRecord* socket : sure_leftovers(tracker, judge)) judged.emplace(socket->id, socket);
  ReportActions actions{wanted.dry_run, {}};
  if (judged.empty()) return actions;
  auto kernel = act::DiagSockets::open();
  if (!kernel) return tl::unexpected(kernel.error());
  auto look = SocketLook::open().take([](const char*, std::uint64_t) {});
  if (!look) return tl::unexpected(look.error());
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < look->sockets.size(); ++i) {
    if (judged.contains(look->sockets[i].cookie)) indices.push_back(i);
  }
  std::vector<act::SocketFacts> leftovers = facts_of(*look, indices);
  act::Guards guards = make_guards(leftovers, wanted);
  guards.named_by = "the process that opened it has ended";
  guards.refuses = [&](const act::SocketFacts& socket) { return changed_hands(socket, judged); };
  const act::Plan plan = act::make_plan(std::move(leftovers), guards);
  std::vector<act::StepResult> results;
  if (!wanted.dry_run && plan.allowed() != 0) {
    if (may_act(plan, wanted)) {
      Patience patience(signals);
      auto done = act::carry_out(plan, *kernel, {{}, [&] { return patience.interrupted(); }, {}});
      if (!done) return tl::unexpected(done.error());
      results = std::move(*done);
    } else {
      actions.dry_run = true;
      log::warning("nothing was destroyed");
    }
  }
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    actions.sockets.push_back(action_of(plan.steps[i], results.empty() ? nullptr : &results[i]));
  }
  return actions;
}

}  // namespace sockleak
