// `sockleak destroy`: names the sockets, shows the plan, asks, acts, and says of each what became of it.
#include <linux/capability.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <unordered_map>

#include "act/carry_out.hpp"
#include "act/stop_process.hpp"
#include "app/acting.hpp"
#include "app/commands.hpp"
#include "app/destroy_facts.hpp"
#include "app/destroy_select.hpp"
#include "app/destroy_text.hpp"
#include "app/output.hpp"
#include "app/socket_look.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "scan/cause.hpp"

namespace sockleak {
namespace {

constexpr int kNotEverything = 1;
const ScanProgress kNoProgress = [](const char*, std::uint64_t) {};

[[nodiscard]] Result<void> check_privilege(const DestroyOptions& options) {
  if (options.dry_run || options.shutdown || options.stop_process) return {};
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3]{};
  if (::syscall(SYS_capget, &header, sets) == 0 && (sets[0].effective & (1U << CAP_NET_ADMIN)) != 0) return {};
  return fail(ErrorKind::kCannotTrace, "cannot destroy sockets: CAP_NET_ADMIN is missing",
              "run as root, for example with sudo; --dry-run shows the plan without it");
}

class Destroy {
 public:
  Destroy(const Options& options, act::DiagSockets kernel, Selection selection)
      : options_(options), wanted_(options.destroy), kernel_(std::move(kernel)), selection_(std::move(selection)) {}

  [[nodiscard]] Result<int> run() {
    auto named = name_sockets();
    if (!named) return tl::unexpected(named.error());
    guards_ = make_guards(*named, wanted_);
    plan_ = act::make_plan(std::move(*named), guards_);
    if (wanted_.stop_process) find_processes();
    if (auto ok = show_plan(); !ok) return tl::unexpected(ok.error());
    if (plan_.steps.empty()) return finish({}, 0);
    if (wanted_.dry_run) return finish({}, 0);
    if (plan_.allowed() == 0) return refuse_all();
    if (auto agreed = may_act(); !agreed || !*agreed) {
      if (!agreed) return tl::unexpected(agreed.error());
      log::warning("nothing was destroyed");
      return kNotEverything;
    }
    return act_now();
  }

 private:
  [[nodiscard]] Result<std::vector<act::SocketFacts>> name_sockets() {
    // Only what the user means is worth a second look.
    const auto matters = [&](const Snapshot& snapshot) {
      const auto meant = select(snapshot, selection_);
      return std::any_of(meant.begin(), meant.end(), [](const auto& socket) { return needs_confirmation(socket.cause); });
    };
    const auto wait = [](Duration time) {
      ::poll(nullptr, 0, static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(time).count()));
      return true;
    };
    auto snapshot = look_.take_confirmed(kNoProgress, wait, matters);
    if (!snapshot) return tl::unexpected(snapshot.error());
    auto named = select(*snapshot, selection_);
    const auto unknown = [](const act::SocketFacts& socket) {
      return socket.cause == Cause::kUnknown || socket.cause == Cause::kHidden;
    };
    const bool matter = named.empty() || std::any_of(named.begin(), named.end(), unknown);
    for (const std::string& what : snapshot->gaps) (matter ? log::warning : log::info)("not seen: " + what);
    return named;
  }

  void find_processes() {
    holders_ = act::stoppable_holders(plan_, guards_);
    for (const std::string& refused : holders_.refused) log::warning(escape_terminal(refused));
    for (const act::Stoppable& process : holders_.processes) {
      stops_.push_back({process.pid, process.comm, process.unit, {}});
    }
  }

  [[nodiscard]] Result<void> show_plan() {
    if (options_.json) return {};
    if (plan_.steps.empty()) return write_stdout("no socket is meant by that\n");
    return write_stdout(plan_text(plan_, options_.verbose) + stops_text(stops_, wanted_.grace));
  }

  [[nodiscard]] Result<bool> may_act() const {
    if (wanted_.yes) return true;
    if (options_.json || !can_ask()) {
      return fail(ErrorKind::kUsage, "nothing was destroyed: there is nobody to ask",
                  "--yes acts, --dry-run only shows the plan");
    }
    const std::string sockets = count_text(plan_.allowed()) + (plan_.allowed() == 1 ? " socket" : " sockets");
    if (stops_.empty()) return agrees((wanted_.shutdown ? "shut down " : "destroy ") + sockets + '?');
    return agrees("stop " + std::to_string(stops_.size()) + (stops_.size() == 1 ? " process" : " processes") +
                  ", then destroy what is left of " + sockets + '?');
  }

  [[nodiscard]] Result<int> refuse_all() {
    std::vector<act::StepResult> results;
    for (const act::Step& step : plan_.steps) results.push_back({act::Outcome::kRefused, step.why});
    return finish(results, kNotEverything);
  }

  [[nodiscard]] Result<int> act_now() {
    auto signals = Signals::take_over();
    if (!signals) return tl::unexpected(signals.error());
    Patience patience(*signals);
    const bool stopped = stop_holders(patience);
    std::vector<act::Step> ended;
    std::size_t left = 0;
    if (wanted_.stop_process) {
      auto gone = plan_leftovers();
      if (!gone) return tl::unexpected(gone.error());
      ended = std::move(*gone);
      left = plan_.steps.size() - refused_.size();
    }
    const act::CarryOutOptions how{wanted_.per_second, [&] { return patience.interrupted(); },
                                   [&](Duration time) { patience.wait(-1, time); }};
    auto results = act::carry_out(plan_, kernel_, how);
    if (!results) return tl::unexpected(results.error());
    // What was to end with its process, and is refused now, was planned all the same.
    for (std::size_t i = 0; i < left; ++i) plan_.steps[i].allowed = true;
    const bool whole = stopped && act::everything_done(plan_, *results);
    plan_.steps.insert(plan_.steps.begin(), ended.begin(), ended.end());
    results->insert(results->begin(), ended.size(), {act::Outcome::kDone, {}});
    return finish(*results, whole ? 0 : kNotEverything);
  }

  [[nodiscard]] bool stop_holders(Patience& patience) {
    const auto outcomes = act::stop(holders_.processes, {wanted_.grace,
                                                         [&](int fd, Duration time) { return patience.wait(fd, time); },
                                                         [&] { return patience.interrupted(); }});
    bool all = true;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      stops_[i].outcome = to_string(outcomes[i]);
      all = all && (outcomes[i] == act::StopOutcome::kEnded || outcomes[i] == act::StopOutcome::kKilled);
    }
    return all;
  }

  /// After processes were stopped: what of the plan is still there is judged anew, under the same guards. Returns the
  /// steps whose sockets ended with their process; what the kernel remembers of those as TIME_WAIT is no socket.
  [[nodiscard]] Result<std::vector<act::Step>> plan_leftovers() {
    auto snapshot = look_.take(kNoProgress);
    if (!snapshot) return tl::unexpected(snapshot.error());
    std::unordered_map<SocketId, std::size_t> alive;
    for (std::size_t i = 0; i < snapshot->sockets.size(); ++i) {
      if (snapshot->sockets[i].cause != Cause::kTimeWait) alive.emplace(snapshot->sockets[i].cookie, i);
    }
    std::vector<act::Step> ended;
    std::vector<std::size_t> left;
    for (act::Step& step : plan_.steps) {
      const auto found = alive.find(step.socket.id);
      if (!step.allowed) {
        refused_.push_back(std::move(step));
      } else if (found == alive.end()) {
        ended.push_back(std::move(step));
      } else {
        left.push_back(found->second);
      }
    }
    std::vector<act::SocketFacts> leftovers = facts_of(*snapshot, left);
    guards_ = make_guards(leftovers, wanted_);
    guards_.stops_holders = false;
    plan_ = act::make_plan(std::move(leftovers), guards_);
    plan_.steps.insert(plan_.steps.end(), refused_.begin(), refused_.end());
    return ended;
  }

  [[nodiscard]] Result<int> finish(const std::vector<act::StepResult>& results, int status) {
    std::string text;
    if (options_.json) text = destroy_json(plan_, stops_, results, wanted_.dry_run);
    if (!options_.json && !results.empty()) text = results_text(plan_, results, options_.verbose);
    if (auto ok = write_stdout(text); !ok) return tl::unexpected(ok.error());
    return status;
  }

  const Options& options_;
  const DestroyOptions& wanted_;
  SocketLook look_ = SocketLook::open();
  act::DiagSockets kernel_;
  Selection selection_;
  act::Guards guards_;
  act::Plan plan_;
  act::StoppableHolders holders_;
  std::vector<StopReport> stops_;
  std::vector<act::Step> refused_;  // by the plan, before processes were stopped
};

}  // namespace

Result<int> run_destroy(const Options& options) {
  auto selection = make_selection(options.destroy, options.pids);
  if (!selection) return tl::unexpected(selection.error());
  if (auto ok = check_privilege(options.destroy); !ok) return tl::unexpected(ok.error());
  auto kernel = act::DiagSockets::open();
  if (!kernel) return tl::unexpected(kernel.error());
  return Destroy(options, std::move(*kernel), std::move(*selection)).run();
}

}  // namespace sockleak
