// The command line. Everything after the first "--" is the command to start and never reaches CLI11.
#include "app/options.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "app/raw_options.hpp"
#include "app/version.hpp"

namespace sockleak {
namespace {

constexpr const char* kCommands = "trace, check, scan, report, destroy or doctor";

constexpr const char* kExamples = R"(Examples:
  sockleak trace -p 812 -d 1m                    watch a running server for a minute
  sockleak check -- ./run-tests                  fail when the tests leak sockets
  sockleak trace -p 812 --record orders.slk      record here ...
  sockleak report orders.slk                     ... and read anywhere
  sockleak scan                                  every socket that is there, and why
  sockleak destroy state close-wait dst 10.0.0.9 what could be destroyed, and how (asks first)
  sockleak doctor                                what this machine allows)";
constexpr const char* kScanExamples = R"(Examples:
  sockleak scan                                  what is wrong with sockets on this machine
  sockleak scan state close-wait age 1m          long unanswered closes, by holder
  sockleak scan ownerless --list                 each socket without a descriptor, and its cause
  sockleak scan 'dst 10.0.0.9 and not dport = :443' -i 5s
  sockleak scan --max-port-use 60 --max-close-wait 100 -q   a monitoring check
Filter words: state exclude src dst sport dport proto family pid comm cgroup netns cookie inode age ownerless cause
and or not ( ), with values as ss takes them.)";
constexpr const char* kTraceExamples = R"(Examples:
  sockleak trace -p 812                          until Ctrl-C, then the report
  sockleak trace -p 812,813 -d 1m --older 30s    two processes, patient with CLOSE_WAIT
  sockleak trace -c system.slice/orders.service  a service: whoever is in it, whenever
  sockleak trace --container 3f2a90c1            a container, by the beginning of its id
  sockleak trace --json -o leaks.json -- ./orders --port 8080)";
constexpr const char* kCheckExamples = R"(Examples:
  sockleak check -- ./run-tests
  sockleak check --format text --format json=leaks.json -- make test
  sockleak check -p 812 -d 30s --max-leaks 3
  sockleak check -p 812 --warmup 10s -- ./load   the command is the load, 812 is judged)";
constexpr const char* kReportExamples = R"(Examples:
  sockleak report orders.slk -v
  sockleak report orders.slk --older 30s --json)";
constexpr const char* kDestroyExamples = R"(FILTER is what ss(8) takes, and more: see FILTERS in sockleak(8). Quote parentheses and < >.

Examples:
  sockleak destroy --dry-run state close-wait    the plan only
  sockleak destroy "dport = :5432 and pid 812"   asks on a terminal; --yes does not
  sockleak destroy --from leaks.json --site 9f3a64d1c02be817 --yes
  sockleak destroy -p 812 --stop-process --grace 30s)";
constexpr const char* kDoctorExamples = R"(Examples:
  sudo sockleak doctor)";

[[nodiscard]] tl::unexpected<Error> usage(std::string what, std::string hint = {}) {
  return fail(ErrorKind::kUsage, std::move(what), std::move(hint));
}

void add_target(CLI::App& app, RawOptions& raw) {
  app.add_option("-p,--pid", raw.pids, "Trace these running processes")
      ->type_name("PID[,PID...]")
      ->group("Target")
      ->allow_extra_args(false);
  app.add_option("-c,--cgroup", raw.cgroup, "Trace whoever is in this cgroup2 group or below it")
      ->type_name("PATH")
      ->group("Target");
  app.add_option("--container", raw.container, "Trace the container whose id begins like this")
      ->type_name("ID")
      ->group("Target");
  app.add_flag("-a,--all", raw.all, "Trace every process")->group("Target");
  app.add_option("--user", raw.user, "Run the command as this user")->type_name("NAME")->group("Target");
  app.add_option("-t,--type", raw.types, "Only these sockets: tcp udp mptcp sctp raw icmp unix")
      ->type_name("TYPE[,TYPE...]")
      ->group("Target")
      ->allow_extra_args(false);
  app.add_flag("--no-children", raw.no_children, "Do not follow child processes")->group("Target");
}

void add_judging(CLI::App& app, RawOptions& raw) {
  app.add_option("--older", raw.older, "How long a peer's close may stay unanswered (default 10s)")
      ->type_name("DUR")
      ->group("Session");
  app.add_option("-i,--interval", raw.interval, "Length of the windows in which growth is measured (default 5s)")
      ->type_name("DUR")
      ->group("Session");
}

void add_session(CLI::App& app, RawOptions& raw) {
  app.add_option("-d,--duration", raw.duration, "End after this time")->type_name("DUR")->group("Session");
  add_judging(app, raw);
  app.add_option("--settle", raw.settle, "Wait this long for open sockets to come to rest before they are judged")
      ->type_name("DUR")
      ->group("Session");
  app.add_flag("--no-snapshot", raw.no_snapshot, "Never copy bytes of user stacks")->group("Session");
  app.add_flag("--debuginfod", raw.debuginfod, "Ask the servers in DEBUGINFOD_URLS for debug information")
      ->group("Session");
  app.add_option("--go-ancestors", raw.go_ancestors,
                 "A command made by Go keeps the stacks of so many ancestors of each goroutine (check: 10, trace: 0)")
      ->type_name("N")
      ->group("Session");
  app.add_option("--hooks", raw.hooks, "auto (default), preferred, kprobe or fallback: which kernel hooks to use")
      ->type_name("SET")->group("Session");
  app.add_option("--ready-fd", raw.ready_fd, "Write one byte to this descriptor once every hook is attached")
      ->type_name("N")
      ->group("Session");
}

void add_output(CLI::App& app, RawOptions& raw) {
  app.add_option("-o", raw.output, "Write the report to this file")->type_name("FILE")->group("Output");
  app.add_option("--format", raw.formats, "text (default) or json; may be repeated with different files")
      ->type_name("FORMAT[=FILE]")
      ->group("Output")
      ->allow_extra_args(false);
  app.add_flag("--json", raw.json, "Short for --format json")->group("Output");
  app.add_option("-T,--top", raw.top, "Show the N worst sites")->type_name("N")->group("Output");
  app.add_flag("-q", raw.quiet, "No progress and no warnings")->group("Output");
  app.add_flag("-v", raw.verbose, "Whole stacks, more sockets, all counters and hooks")->group("Output");
  app.add_flag("--no-color", raw.no_color, "Never colour the output")->group("Output");
}

void add_scan(CLI::App& app, RawOptions& raw) {
  app.add_option("FILTER", raw.filter, "Which sockets, in ss's words; all if there is none");
  app.add_option("-i,--interval", raw.interval, "Scan again and again, and estimate when ports run out")
      ->type_name("DUR")
      ->group("Session");
  app.add_option("-d,--duration", raw.duration, "With -i: end after this time")->type_name("DUR")->group("Session");
  app.add_option("--max-port-use", raw.max_port_use, "Fail if more of the ephemeral ports are used anywhere")
      ->type_name("PERCENT")
      ->group("Judgement");
  app.add_option("--max-close-wait", raw.max_close_wait, "Fail if more sockets are in CLOSE_WAIT")
      ->type_name("N")
      ->group("Judgement");
  app.add_option("--max-ownerless", raw.max_ownerless, "Fail if more sockets are ownerless")
      ->type_name("N")
      ->group("Judgement");
  app.add_option("-o", raw.output, "Write to this file")->type_name("FILE")->group("Output");
  app.add_option("--format", raw.formats, "text (default) or json; may be repeated with different files")
      ->type_name("FORMAT[=FILE]")
      ->group("Output")
      ->allow_extra_args(false);
  app.add_flag("--json", raw.json, "Short for --format json")->group("Output");
  app.add_flag("-l,--list", raw.list, "List every socket that the filter means")->group("Output");
  app.add_option("-T,--top", raw.top, "Lines per section (default 10, 0 for all)")->type_name("N")->group("Output");
  app.add_flag("-q", raw.quiet, "No progress and no warnings")->group("Output");
  app.add_flag("-v", raw.verbose, "Say what is being done")->group("Output");
}

void add_record(CLI::App& app, RawOptions& raw) {
  app.add_option("--record", raw.record, "Record the session for `sockleak report`")
      ->type_name("FILE.slk")
      ->group("Output");
}

void add_leftovers(CLI::App& app, RawOptions& raw) {
  app.add_flag("--destroy", raw.destroy_leftovers, "In the end, destroy sockets that outlived the process that opened them")
      ->group("Acting");
  app.add_flag("--yes", raw.destroy.yes, "With --destroy: do not ask")->group("Acting");
  app.add_flag("--dry-run", raw.destroy.dry_run, "With --destroy: only say what would be destroyed")->group("Acting");
}

void add_destroy(CLI::App& app, RawOptions& raw) {
  RawDestroyOptions& destroy = raw.destroy;
  app.add_option("FILTER", destroy.filter, "Which sockets; sockets that everything given agrees on are meant");
  app.add_option("-p,--pid", raw.pids, "Those that these processes hold")
      ->type_name("PID[,PID...]")
      ->allow_extra_args(false);
  app.add_option("--from", destroy.from, "Those of a JSON report of this machine")->type_name("REPORT.json");
  app.add_option("--site", destroy.site, "Of the report, those of this finding only")->type_name("FINGERPRINT");
  app.add_flag("--dry-run", destroy.dry_run, "Show the plan and do nothing")->group("Acting");
  app.add_flag("--yes", destroy.yes, "Do not ask")->group("Acting");
  app.add_flag("--shutdown", destroy.shutdown, "End connections in order, through their holders' descriptors")
      ->group("Acting");
  app.add_flag("--stop-process", destroy.stop_process, "Stop the holders first: SIGTERM, after a while SIGKILL")
      ->group("Acting");
  app.add_option("--grace", destroy.grace, "The while between SIGTERM and SIGKILL (default 10s)")
      ->type_name("DUR")
      ->group("Acting");
  app.add_option("--rate", destroy.rate, "So many sockets per second at most")->type_name("N/s")->group("Acting");
  app.add_flag("--even-mine", destroy.even_mine, "Also what sockleak itself and your login use")->group("Acting");
  app.add_flag("--json", raw.json, "Plan and results for programs")->group("Output");
  app.add_flag("-q", raw.quiet, "No warnings")->group("Output");
  app.add_flag("-v", raw.verbose, "Name every socket")->group("Output");
  app.add_flag("--no-color", raw.no_color, "Never colour the output")->group("Output");
}

CLI::App* add_command(CLI::App& app, const char* name, const char* what, const char* examples) {
  CLI::App* command = app.add_subcommand(name, what);
  command->footer(examples);
  command->allow_extras();  // so that an error can name what was typed
  return command;
}

/// CLI11's own words ("--top requires 1 argument ...") start with an option or a capital; one line in any case.
[[nodiscard]] std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

[[nodiscard]] Error with_advice(Error error, const std::string& command) {
  const std::string advice = "try sockleak " + (command.empty() ? "" : command + " ") + "--help";
  error.hint = error.hint.empty() ? advice : error.hint + "; " + advice;
  return error;
}

/// The parser and what it writes to.
class CommandLine {
 public:
  CommandLine() {
    app_.footer(kExamples);
    app_.allow_extras();
    app_.set_version_flag("--version", std::string("sockleak ") + kVersion);
    for (CLI::App* command : {trace_, check_}) {
      add_target(*command, raw_);
      add_session(*command, raw_);
      add_output(*command, raw_);
      add_record(*command, raw_);
      add_leftovers(*command, raw_);
    }
    check_->add_option("--max-leaks", raw_.max_leaks, "Accept so many leaked sockets")
        ->type_name("N")
        ->group("Judgement");
    check_->add_option("--fail-on", raw_.fail_on, "leak (default), or suspect: what is only suspected fails, too")
        ->type_name("WHAT")
        ->group("Judgement");
    check_->add_option("--only", raw_.only, "Only what these rules accuse counts")
        ->type_name("RULE[,RULE...]")
        ->group("Judgement")
        ->allow_extra_args(false);
    check_->add_option("--warmup", raw_.warmup, "Sockets opened in the first DUR of the session are not accused")
        ->type_name("DUR")
        ->group("Judgement");
    check_->add_option("--leak-exit-code", raw_.leak_exit_code, "Exit status for leaks (default 1)")
        ->type_name("N")
        ->group("Judgement");
    report_->add_option("FILE.slk", raw_.recordings, "Recordings");
    add_judging(*report_, raw_);
    add_output(*report_, raw_);
    add_scan(*scan_, raw_);
    add_destroy(*destroy_, raw_);
    doctor_->add_flag("--json", raw_.json, "Machine-readable");
    doctor_->add_flag("--no-color", raw_.no_color, "Never colour the output");
  }
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  /// Help or version, if that was asked for.
  [[nodiscard]] Result<std::optional<Words>> parse(std::vector<std::string> arguments) {
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
    try {
      app_.parse(std::move(arguments));
    } catch (const CLI::CallForHelp&) {
      return Words{app_.help()};
    } catch (const CLI::CallForVersion&) {
      return Words{app_.version() + '\n'};
    } catch (const CLI::Error& error) {
      return usage(one_line(error.what()));
    }
    if (auto ok = check_strays(); !ok) return tl::unexpected(ok.error());
    return std::nullopt;
  }

  /// As far as the parser came; empty if there is none.
  [[nodiscard]] std::string command_name() const {
    const auto commands = app_.get_subcommands();
    return commands.empty() ? std::string() : commands.front()->get_name();
  }

  [[nodiscard]] Subcommand subcommand() const {
    if (trace_->parsed()) return Subcommand::kTrace;
    if (check_->parsed()) return Subcommand::kCheck;
    if (scan_->parsed()) return Subcommand::kScan;
    if (destroy_->parsed()) return Subcommand::kDestroy;
    return report_->parsed() ? Subcommand::kReport : Subcommand::kDoctor;
  }

  [[nodiscard]] const RawOptions& raw() const { return raw_; }

 private:
  [[nodiscard]] Result<void> check_strays() const {
    const auto commands = app_.get_subcommands();
    const std::vector<std::string> strays = app_.remaining(true);
    if (commands.size() > 1) return usage("only one command at a time");
    if (strays.empty()) return commands.empty() ? usage("no command", kCommands) : Result<void>{};
    const std::string stray = quote(strays.front());
    if (commands.empty()) return usage(stray + " is not a command", kCommands);
    if (strays.front().starts_with('-')) return usage("unknown option " + stray);
    const bool live = trace_->parsed() || check_->parsed();
    return usage("unexpected " + stray, live ? "a command to start goes after --" : "");
  }

  RawOptions raw_;
  CLI::App app_{"sockleak names the code path that leaks sockets.", "sockleak"};
  CLI::App* trace_ = add_command(app_, "trace", "Watch processes or a command, then report", kTraceExamples);
  CLI::App* check_ = add_command(app_, "check", "The same for tests: the exit status says if it leaks", kCheckExamples);
  CLI::App* scan_ = add_command(app_, "scan", "One look at every socket: holders, causes, ports", kScanExamples);
  CLI::App* report_ = add_command(app_, "report", "Judge and print recordings again", kReportExamples);
  CLI::App* destroy_ = add_command(app_, "destroy", "Get rid of sockets: shows a plan first", kDestroyExamples);
  CLI::App* doctor_ = add_command(app_, "doctor", "What this kernel and these privileges allow", kDoctorExamples);
};

}  // namespace

Result<std::variant<Options, Words>> parse_options(const std::vector<std::string>& arguments) {
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  CommandLine line;
  const auto advise = [&line](Error error) { return with_advice(std::move(error), line.command_name()); };
  auto words = line.parse({arguments.begin(), dashes});
  if (!words) return tl::unexpected(advise(words.error()));
  if (*words) return **words;
  Options options;
  options.subcommand = line.subcommand();
  if (dashes != arguments.end()) options.command.assign(dashes + 1, arguments.end());
  auto understood = understand(line.raw(), std::move(options), dashes != arguments.end());
  if (!understood) return tl::unexpected(advise(understood.error()));
  return std::move(*understood);
}

}  // namespace sockleak
