// One live session. The order of what happens before the command runs matters: it is forked while signals, limits and
// descriptors are still those of our caller, and it is executed only when every hook is attached.
#include "app/live_session.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <optional>

#include "app/command_program.hpp"
#include "app/creator_threads.hpp"
#include "app/final_look.hpp"
#include "app/left_open.hpp"
#include "app/leftovers.hpp"
#include "app/output.hpp"
#include "app/own_process.hpp"
#include "app/pipeline.hpp"
#include "app/report_builder.hpp"
#include "app/signals.hpp"
#include "app/status_line.hpp"
#include "app/targets.hpp"
#include "app/timed_symbolizer.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "judge/suspicion.hpp"
#include "process/command.hpp"
#include "runtime/go/go_command.hpp"
#include "scan/cause.hpp"
#include "source/live_source.hpp"

namespace sockleak {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(100);  // the rings are drained at least so often
constexpr Duration kGrace = std::chrono::seconds(5);        // for an interrupted command to end by itself
constexpr Duration kLastCloses = std::chrono::seconds(1);   // between a process's exit event and its last close
constexpr Duration kLookEvery = std::chrono::seconds(1);    // for sites that begin to look like leaks
constexpr Duration kPatience = std::chrono::milliseconds(500);  // with a socket in CLOSE_WAIT, before its site does
constexpr int kNotFound = 127, kNotExecutable = 126;        // as a shell says it

[[nodiscard]] Duration monotonic() {
  return std::chrono::steady_clock::now().time_since_epoch();
}

class LiveSession {
 public:
  explicit LiveSession(const Options& options)
      : options_(options), pipeline_({.growth_window = options.interval.value_or(TrackerOptions{}.growth_window),
                  .keep_last_closes = new_session(options).judge.at_exit}) {}

  [[nodiscard]] Result<int> run();

 private:
  [[nodiscard]] Result<void> prepare();
  [[nodiscard]] Result<void> attach();
  [[nodiscard]] Result<void> start_command();
  void say_ready();
  [[nodiscard]] std::string targets_text() const;
  [[nodiscard]] Result<void> watch();
  [[nodiscard]] Result<void> turn(Duration timeout);
  [[nodiscard]] Result<void> take_all();
  [[nodiscard]] Result<void> turn_until(Duration deadline, bool (LiveSession::*done)());
  [[nodiscard]] Result<void> let_rest();
  [[nodiscard]] Result<void> take_snapshot();
  [[nodiscard]] Result<void> look_beyond_descriptors();
  [[nodiscard]] Result<int> report();
  void look_closer();
  void on_signal(const Signals::Request& request);
  [[nodiscard]] bool over();
  [[nodiscard]] bool command_ended();
  [[nodiscard]] bool targets_ended();
  [[nodiscard]] bool at_rest();
  [[nodiscard]] bool doubts_settled();
  [[nodiscard]] std::vector<Pid> targets() const;
  [[nodiscard]] Session session();

  const Options& options_;
  Procfs procfs_;
  ModuleStore modules_;
  NamedFrames names_;
  Pipeline pipeline_;
  std::optional<Command> command_;
  std::optional<ModuleId> program_;  // that the command runs
  std::optional<Targets> targets_;
  std::optional<Signals> signals_;
  std::optional<Outputs> outputs_;
  std::unique_ptr<LiveSource> source_;
  std::optional<FinalLook> look_;
  bool searched_ = true;  // the final look saw all there is, or there was nothing to look for
  std::optional<StatusLine> status_;
  std::optional<int> wait_status_;
  std::optional<Signals::Request> interrupted_;
  Duration next_look_{};
  bool counting_ = false;  // uses
  std::int64_t started_ms_ = 0;
};

Result<int> LiveSession::run() {
  for (const auto step : {&LiveSession::prepare, &LiveSession::attach}) {
    if (auto ok = (this->*step)(); !ok) return tl::unexpected(ok.error());
  }
  if (auto started = start_command(); !started) {
    if (options_.subcommand != Subcommand::kCheck) return tl::unexpected(started.error());
    const Error& error = started.error();
    log::error(escape_terminal(error.message() + (error.hint.empty() ? "" : "; " + error.hint)));
    return error.os_errno == ENOENT ? kNotFound : kNotExecutable;
  }
  say_ready();
  for (const auto step : {&LiveSession::watch, &LiveSession::let_rest, &LiveSession::take_snapshot}) {
    if (auto ok = (this->*step)(); !ok) return tl::unexpected(ok.error());
  }
  return report();
}

Result<void> LiveSession::prepare() {
  const bool is_load = options_.command_is_load();
  if (!options_.command.empty()) {
    if (!is_load) program_ = command_program(options_.command, modules_);
    const Module& program = modules_.get(program_.value_or(ModuleStore::kUnknown));
    auto command = Command::hold({.argv = options_.command, .user = options_.user,
                                  .environment = go_environment(program, is_load ? 0 : options_.go_ancestors)});
    if (!command) return tl::unexpected(command.error());
    command_.emplace(std::move(*command));
  }
  if (options_.command.empty() || is_load) {
    auto targets = Targets::find(options_, procfs_);
    if (!targets) return tl::unexpected(targets.error());
    targets_.emplace(std::move(*targets));
  }
  auto signals = Signals::take_over();
  if (!signals) return tl::unexpected(signals.error());
  signals_.emplace(std::move(*signals));
  raise_descriptor_limit();
  auto outputs = Outputs::open(options_);
  if (!outputs) return tl::unexpected(outputs.error());
  outputs_.emplace(std::move(*outputs));
  if (options_.record.empty()) return {};
  if (auto ok = check_replaceable(options_.record); !ok) return ok;
  auto writer = RecordingWriter::create(options_.record);
  if (!writer) return tl::unexpected(writer.error());
  pipeline_.record_to(std::move(*writer));
  return {};
}

std::vector<Pid> LiveSession::targets() const {
  return targets_ ? targets_->pids() : std::vector{command_->pid()};
}

Result<void> LiveSession::attach() {
  LiveOptions live;
  if (!targets_ || !targets_->is_scope()) live.pids = targets();
  if (targets_) live.scope = targets_->scope();
  live.types = options_.types;
  live.program = program_;
  live.follow_children = options_.follow_children;
  live.copy_stacks = options_.copy_stacks;
  live.hooks = options_.hooks;
  live.watch_touches = options_.subcommand == Subcommand::kCheck;
  auto source = LiveSource::attach(live, modules_, names_);
  if (!source) return tl::unexpected(source.error());
  source_ = std::move(*source);
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  started_ms_ = std::chrono::duration_cast<std::chrono::milliseconds>(since_1970).count();
  pipeline_.name_processes(ProcessNames([this](Pid pid) { return ProcessName{procfs_.comm(pid), procfs_.exe(pid), procfs_.cgroup(pid)}; }));
  if (targets_) {
    for (const Pid pid : targets_->pids()) pipeline_.names().ask_now(pid);
  }
  if (options_.ready_fd) {
    const UniqueFd fd(*options_.ready_fd);
    if (::write(fd.get(), "\n", 1) != 1) return fail_os(ErrorKind::kOutput, "cannot write to --ready-fd");
  }
  return {};
}

Result<void> LiveSession::start_command() {
  if (!command_) return {};
  if (auto released = command_->release(); !released) return released;
  if (!targets_) pipeline_.names().ask_now(command_->pid());
  return {};
}

void LiveSession::say_ready() {
  if (!options_.quiet) {
    std::fprintf(stderr, "sockleak: ready, watching%s\n", targets_text().c_str());
  }
  status_.emplace(!options_.quiet && !command_, options_.older.value_or(JudgeOptions{}.older));
}

std::string LiveSession::targets_text() const {
  if (targets_ && targets_->is_scope()) {
    const TargetFacts& facts = targets_->facts();
    if (facts.kind == "all") return " every process";
    const std::string name = facts.kind == "container" ? facts.id.substr(0, 12) : escape_terminal(facts.path);
    return " " + facts.kind + " " + name + " (processes: " + count_text(targets().size()) + ")";
  }
  std::string text;
  for (const Pid pid : targets()) {
    text += (text.empty() ? " pid " : ", pid ") + std::to_string(pid.value);
    text += " (" + escape_terminal(procfs_.comm(pid)) + ')';
  }
  return text;
}

/// Waits for something to happen and takes what the source has.
Result<void> LiveSession::turn(Duration timeout) {
  std::array<pollfd, 3> ready{{{source_->descriptor(), POLLIN, 0},
                               {signals_->descriptor(), POLLIN, 0},
                               {command_ && !wait_status_ ? command_->pidfd() : -1, POLLIN, 0}}};
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(std::clamp(timeout, Duration::zero(), kTick));
  ::poll(ready.data(), ready.size(), static_cast<int>(wait.count()));
  if (const auto request = signals_->next()) on_signal(*request);
  if (auto progress = source_->poll(pipeline_, Duration::zero()); !progress) return tl::unexpected(progress.error());
  if (command_ && !wait_status_ && (wait_status_ = command_->ended())) {
    // Its last closes came before its end.
    if (auto ok = take_all(); !ok) return ok;
    if (!targets_) source_->note_command_end(pipeline_, command_->pid(), *wait_status_);
  }
  if (status_ && status_->due(monotonic())) {
    status_->show(pipeline_.tracker(), source_->losses().get(Counter::events_lost));
  }
  look_closer();
  return pipeline_.recording();
}

/// What a suspected site's sockets are last used for is asked for in time: an idle one will not tell.
void LiveSession::look_closer() {
  if (monotonic() < next_look_) return;
  next_look_ = monotonic() + kLookEvery;
  for (const Suspicion& suspicion : suspicions(pipeline_.tracker(), pipeline_.tracker().now(), kPatience)) {
    source_->suspect(pipeline_.stacks().names_of(suspicion.site.stack), suspicion.open);
  }
  if (!counting_ && (counting_ = keeps_sockets(pipeline_.tracker(), pipeline_.tracker().now()))) source_->count_uses();
  if (command_ && !wait_status_) tell_ended_creators(pipeline_.tracker(), procfs_, pipeline_.tracker().now(), pipeline_);
}

Result<void> LiveSession::turn_until(Duration deadline, bool (LiveSession::*done)()) {
  while (!(this->*done)()) {
    const Duration left = deadline - monotonic();
    if (left <= Duration::zero()) break;
    if (auto ok = turn(left); !ok) return ok;
  }
  return {};
}

Result<void> LiveSession::watch() {
  constexpr Duration kForever = std::chrono::hours(24 * 365 * 10);
  const Duration deadline = monotonic() + options_.duration.value_or(kForever);
  if (auto ok = turn_until(deadline, &LiveSession::over); !ok) return ok;
  if (!interrupted_ || !command_) return {};
  const Duration grace = options_.settle > Duration::zero() ? options_.settle : kGrace;
  return turn_until(monotonic() + grace, &LiveSession::command_ended);
}

/// A signal that a terminal sent has reached the command as well; one that was sent to us alone is passed on.
void LiveSession::on_signal(const Signals::Request& request) {
  interrupted_ = request;
  if (command_ && !wait_status_ && request.ours_alone) command_->signal(request.number);
}

bool LiveSession::over() {
  return interrupted_ || (command_ ? command_ended() : targets_ended());
}

bool LiveSession::command_ended() {
  return wait_status_.has_value();
}

/// What the source has now. A busy program always has more, so this does not wait for silence.
Result<void> LiveSession::take_all() {
  constexpr int kEnough = 4;
  for (int i = 0; i < kEnough; ++i) {
    auto progress = source_->poll(pipeline_, Duration::zero());
    if (!progress) return tl::unexpected(progress.error());
    if (*progress != Progress::kDelivered) break;
  }
  return {};
}

/// The processes that were named, and every child that is followed; or the group they are in.
bool LiveSession::targets_ended() {
  return targets_->ended() && (targets_->is_scope() || !source_->targets_live());
}

bool LiveSession::at_rest() {
  return interrupted_.has_value() || !source_->targets_live();
}

Result<void> LiveSession::let_rest() {
  if (auto ok = turn_until(monotonic() + options_.settle, &LiveSession::at_rest); !ok) return ok;
  if (targets_ && !source_->targets_live()) {  // the exit event comes before the files are closed
    if (auto ok = turn_until(monotonic() + kLastCloses, &LiveSession::targets_ended); !ok) return ok;
  }
  return take_all();
}

Result<void> LiveSession::take_snapshot() {
  if (auto ok = source_->snapshot(pipeline_); !ok) return ok;
  if (auto ok = take_all(); !ok) return ok;
  if (auto ok = look_beyond_descriptors(); !ok) return ok;
  tell_creator_threads(pipeline_.tracker(), procfs_, pipeline_.tracker().now(), pipeline_);
  status_.reset();
  if (command_ && !wait_status_ && !options_.quiet) {
    log::warning("the command goes on running as pid " + std::to_string(command_->pid().value));
  }
  return pipeline_.recording();
}

/// What the snapshot left open: who holds it if not a descriptor does, and why. A close that is on its way (io_uring's
/// comes tens of milliseconds after the exit) gets its time first.
Result<void> LiveSession::look_beyond_descriptors() {
  if (pipeline_.tracker().sockets().empty()) return {};
  searched_ = false;
  auto look = FinalLook::open();
  if (!look) {
    log::info("sees descriptors only: " + look.error().message());
    return {};
  }
  look_.emplace(std::move(*look));
  if (auto taken = look_->take(pipeline_.tracker()); !taken) return {};
  if (!look_->doubts().empty()) {
    if (auto ok = turn_until(monotonic() + kSecondLook, &LiveSession::doubts_settled); !ok) return ok;
    if (auto ok = source_->snapshot(pipeline_); !ok) return ok;
    if (auto ok = take_all(); !ok) return ok;
    if (auto taken = look_->take(pipeline_.tracker()); !taken) return {};
  }
  if (auto ok = take_all(); !ok) return ok;  // closes that happened while it looked
  look_->tell(pipeline_.tracker(), pipeline_);
  searched_ = !look_->has_gaps();
  return {};
}

bool LiveSession::doubts_settled() {
  const auto& open = pipeline_.tracker().sockets();
  return std::none_of(look_->doubts().begin(), look_->doubts().end(), [&](SocketId id) { return open.contains(id); });
}

Session LiveSession::session() {
  Session session = new_session(options_);
  session.started_ms = started_ms_;
  if (targets_) session.target = targets_->facts();
  session.target.command = options_.command;
  for (const Protocol type : options_.types) session.target.types.emplace_back(to_string(type));
  for (const Pid pid : targets()) session.target.pids.push_back(pid.value);
  if (wait_status_) session.target.exit_status = shell_status(*wait_status_);
  for (const HookFact& fact : source_->hooks()) session.hooks.push_back({fact.need, fact.hook});
  session.names = pipeline_.names();
  if (look_) session.ports = look_->ports(pipeline_.tracker());
  session.other_families = left_open(source_->other_families(), session.judge.at_exit);
  return session;
}

Result<int> LiveSession::report() {
  Session session = this->session();
  if (options_.destroy_leftovers) {
    auto actions = destroy_leftovers(pipeline_.tracker(), session.judge, options_.destroy, *signals_);
    if (!actions) return tl::unexpected(actions.error());
    session.actions = std::move(*actions);
  }
  const std::string json = session_json(session);
  const Session recorded = parse_session(json);  // what a replay will know, no more
  Counters losses = source_->losses();
  if (!searched_) losses.add(Counter::holders_not_searched);
  const LiveSource::StackCost cost = source_->stack_cost();
  log::info("stacks: " + std::to_string(cost.walked) + " found, " + std::to_string(cost.recalled) + " recalled, " +
            std::to_string(cost.copied) + " finished from a copy; " + std::to_string(cost.rules) + " rules");
  source_.reset();  // detached: what follows costs the traced programs nothing
  const auto from_files = make_dwfl_symbolizer(modules_, {.debuginfod = options_.debuginfod, .named = &names_});
  TimedSymbolizer symbolizer(*from_files);
  Counters counters = losses;
  counters.merge(pipeline_.counters());
  const Report report = build_report({.session = recorded,
                                      .tracker = pipeline_.tracker(),
                                      .stacks = pipeline_.stacks(),
                                      .symbolizer = symbolizer,
                                      .counters = counters,
                                      .every_site = options_.verbose});
  if (auto ok = pipeline_.finish_recording(json, losses, modules_, symbolizer); !ok) {
    return tl::unexpected(ok.error());
  }
  say_cost(symbolizer);
  if (auto ok = outputs_->write({report}); !ok) return tl::unexpected(ok.error());
  return exit_status(report, recorded);
}

}  // namespace

Result<int> run_live(const Options& options) {
  return LiveSession(options).run();
}

}  // namespace sockleak
