// The command line as data. Parsing, validation and --help live in options.cpp, the only user of CLI11.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "app/destroy_options.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "event/event.hpp"
#include "kernel/hooks.hpp"

namespace sockleak {

enum class Subcommand : std::uint8_t { kTrace, kCheck, kScan, kReport, kDestroy, kDoctor };
enum class Format : std::uint8_t { kText, kJson };

/// One report to write.
struct OutputChoice {
  Format format = Format::kText;
  std::string path;  // empty = standard output
};

struct Options {
  Subcommand subcommand = Subcommand::kTrace;

  // Target.
  std::vector<Pid> pids;
  std::string cgroup;                // path; empty = none
  std::string container;             // the beginning of its id; empty = none
  bool all = false;
  std::vector<std::string> command;  // argv after "--"
  std::string user;                  // empty = as Command decides
  bool follow_children = true;
  std::vector<Protocol> types;       // which sockets; empty = all

  // Session.
  std::optional<Duration> duration;
  std::optional<Duration> older;     // unset = the default, or what a recording says
  std::optional<Duration> interval;  // likewise
  Duration settle{};
  bool copy_stacks = true;
  HookSet hooks = HookSet::kAuto;
  bool debuginfod = false;
  unsigned go_ancestors = 0;  // GODEBUG=tracebackancestors=N for a command made by Go; 0 = as it is
  std::optional<int> ready_fd;

  // Output.
  std::vector<OutputChoice> outputs;  // never empty for trace, check and report
  std::size_t top = 0;                // 0 = all
  std::string record;                 // empty = no recording
  bool quiet = false;
  bool verbose = false;
  bool color = true;  // where the output can show it
  bool json = false;  // doctor, destroy

  // check.
  std::uint64_t max_leaks = 0;
  int leak_exit_code = 1;
  bool fail_on_suspect = false;
  std::vector<std::string> only;  // rules; empty = any
  Duration warmup{};
  /// The command is what loads the target, which is another one.
  [[nodiscard]] bool command_is_load() const {
    return !command.empty() && (!pids.empty() || !cgroup.empty() || !container.empty());
  }

  // report.
  std::vector<std::string> recordings;

  // scan.
  std::string filter;  // as typed, and known to be one
  bool list = false;
  std::optional<double> max_port_use;  // percent
  std::optional<std::uint64_t> max_close_wait, max_ownerless;
  bool destroy_leftovers = false;  // trace, check
  DestroyOptions destroy;
};

/// What was asked for was words: --help or --version. They go to stdout, exit status 0.
struct Words {
  std::string text;
};

/// `arguments`: without the program's name. An error names the option and what to try.
[[nodiscard]] Result<std::variant<Options, Words>> parse_options(const std::vector<std::string>& arguments);

}  // namespace sockleak
