#include "app/raw_options.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "app/counting.hpp"
#include "base/text.hpp"
#include "filter/filter.hpp"

namespace sockleak {
namespace {

constexpr std::uint32_t kLargestPid = 4'194'304;  // PID_MAX_LIMIT of 64-bit kernels, include/linux/threads.h
constexpr unsigned kGoAncestors = 10;         // SL_MAX_ANCESTORS: more are not kept

[[nodiscard]] tl::unexpected<Error> usage(std::string what, std::string hint = {}) {
  return fail(ErrorKind::kUsage, std::move(what), std::move(hint));
}

[[nodiscard]] Result<std::uint64_t> number(std::string_view option, std::string_view text, std::uint64_t largest) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > largest) {
    return usage(std::string(option) + " takes a number from 0 to " + std::to_string(largest) + ", not " + quote(text));
  }
  return value;
}

[[nodiscard]] Result<std::vector<Pid>> pids_of(const std::vector<std::string>& lists) {
  std::vector<Pid> pids;
  for (const std::string& list : lists) {
    std::string_view rest = list;
    while (true) {
      const std::string_view text = rest.substr(0, rest.find(','));
      std::uint32_t value = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      if (error != std::errc() || end != text.data() + text.size() || value == 0 || value > kLargestPid) {
        return usage(quote(text) + " is not a process number", "find it with pgrep, as in -p \"$(pgrep -d, nginx)\"");
      }
      if (std::find(pids.begin(), pids.end(), Pid{value}) == pids.end()) pids.push_back(Pid{value});
      if (text.size() == rest.size()) break;
      rest.remove_prefix(text.size() + 1);
    }
  }
  return pids;
}

[[nodiscard]] Result<std::vector<Protocol>> types_of(const std::vector<std::string>& lists) {
  constexpr std::array kKnown{Protocol::kTcp, Protocol::kUdp,  Protocol::kMptcp, Protocol::kSctp,
                              Protocol::kRaw, Protocol::kIcmp, Protocol::kUnix};
  std::vector<Protocol> types;
  for (const std::string& list : lists) {
    std::string_view rest = list;
    while (true) {
      const std::string_view name = rest.substr(0, rest.find(','));
      const auto known = std::find_if(kKnown.begin(), kKnown.end(), [name](Protocol type) { return to_string(type) == name; });
      if (known == kKnown.end()) return usage(quote(name) + " is no type of socket", "tcp, udp, mptcp, sctp, raw, icmp or unix");
      types.push_back(*known);
      if (name.size() == rest.size()) break;
      rest.remove_prefix(name.size() + 1);
    }
  }
  return types;
}

[[nodiscard]] Result<std::vector<OutputChoice>> outputs_of(const RawOptions& raw) {
  std::vector<OutputChoice> outputs;
  if (raw.json) outputs.push_back({Format::kJson, {}});
  for (const std::string& choice : raw.formats) {
    const std::size_t equals = choice.find('=');
    const std::string name = choice.substr(0, equals);
    if (name != "text" && name != "json") return usage(quote(name) + " is not a format", "--format text or json");
    OutputChoice output{name == "json" ? Format::kJson : Format::kText, {}};
    if (equals != std::string::npos) {
      output.path = choice.substr(equals + 1);
      if (output.path.empty()) return usage("--format " + quote(choice) + " names no file");
    }
    outputs.push_back(std::move(output));
  }
  if (outputs.empty()) outputs.emplace_back();
  // -o takes the place of standard output.
  const auto nowhere = [](const OutputChoice& output) { return output.path.empty(); };
  const auto count = std::count_if(outputs.begin(), outputs.end(), nowhere);
  if (count > 1) return usage("only one format can go to one place", "give the others a file: --format json=FILE");
  if (!raw.output.empty() && count == 0)
    return usage("-o has nothing left to write", "every --format has its own file");
  for (OutputChoice& output : outputs) {
    if (output.path.empty()) output.path = raw.output;
    if (output.path == "-") output.path.clear();
  }
  for (auto a = outputs.begin(); a != outputs.end(); ++a) {
    const auto same = [a](const OutputChoice& b) { return a->path == b.path; };
    if (std::any_of(a + 1, outputs.end(), same)) return usage("two formats would be written to the same place");
  }
  return outputs;
}

[[nodiscard]] Result<void> take_duration(const std::string& text, std::optional<Duration>& into) {
  if (text.empty()) return {};
  auto parsed = parse_duration(text);
  if (!parsed) return tl::unexpected(parsed.error());
  into = *parsed;
  return {};
}

[[nodiscard]] Result<void> understand_numbers(const RawOptions& raw, Options& options) {
  if (!raw.top.empty()) {
    auto top = number("--top", raw.top, 1'000'000);
    if (!top) return tl::unexpected(top.error());
    options.top = static_cast<std::size_t>(*top);
  }
  if (!raw.max_leaks.empty()) {
    auto most = number("--max-leaks", raw.max_leaks, std::numeric_limits<std::uint32_t>::max());
    if (!most) return tl::unexpected(most.error());
    options.max_leaks = *most;
  }
  if (!raw.leak_exit_code.empty()) {
    auto code = number("--leak-exit-code", raw.leak_exit_code, 255);
    if (!code) return tl::unexpected(code.error());
    options.leak_exit_code = static_cast<int>(*code);
  }
  if (!raw.hooks.empty()) {
    if (raw.hooks == "auto") options.hooks = HookSet::kAuto;
    else if (raw.hooks == "preferred") options.hooks = HookSet::kPreferred;
    else if (raw.hooks == "kprobe") options.hooks = HookSet::kKprobe;
    else if (raw.hooks == "fallback") options.hooks = HookSet::kFallback;
    else return usage("--hooks takes auto, preferred, kprobe or fallback, not " + quote(raw.hooks));
  }
  options.go_ancestors = options.subcommand == Subcommand::kCheck ? kGoAncestors : 0;
  if (!raw.go_ancestors.empty()) {
    auto most = number("--go-ancestors", raw.go_ancestors, kGoAncestors);
    if (!most) return tl::unexpected(most.error());
    options.go_ancestors = static_cast<unsigned>(*most);
  }
  if (!raw.ready_fd.empty()) {
    auto fd = number("--ready-fd", raw.ready_fd, 1'000'000);
    if (!fd) return tl::unexpected(fd.error());
    if (*fd <= STDERR_FILENO) return usage("--ready-fd takes a descriptor of its own", "3 or higher");
    // Ours from here on: a command we start must not hold it open.
    if (::fcntl(static_cast<int>(*fd), F_SETFD, FD_CLOEXEC) < 0)
      return usage("--ready-fd " + raw.ready_fd + " is not open");
    options.ready_fd = static_cast<int>(*fd);
  }
  return {};
}

[[nodiscard]] Result<std::vector<std::string>> rules_of(const std::vector<std::string>& lists) {
  const std::vector<std::string>& known = accusing_rules();
  std::vector<std::string> rules;
  for (const std::string& list : lists) {
    std::string_view rest = list;
    while (true) {
      const std::string_view name = rest.substr(0, rest.find(','));
      if (std::find(known.begin(), known.end(), name) == known.end()) {
        std::string all;
        for (const std::string& rule : known) all += (all.empty() ? "" : ", ") + rule;
        return usage(quote(name) + " is no rule that accuses", all);
      }
      rules.emplace_back(name);
      if (name.size() == rest.size()) break;
      rest.remove_prefix(name.size() + 1);
    }
  }
  return rules;
}

[[nodiscard]] Result<void> take_check(const RawOptions& raw, Options& options) {
  if (!raw.fail_on.empty() && raw.fail_on != "leak" && raw.fail_on != "suspect") {
    return usage("--fail-on takes leak or suspect, not " + quote(raw.fail_on));
  }
  options.fail_on_suspect = raw.fail_on == "suspect";
  auto rules = rules_of(raw.only);
  if (!rules) return tl::unexpected(rules.error());
  options.only = std::move(*rules);
  std::optional<Duration> warmup;
  if (auto ok = take_duration(raw.warmup, warmup); !ok) return ok;
  options.warmup = warmup.value_or(Duration::zero());
  return {};
}

[[nodiscard]] Result<void> take_scan(const RawOptions& raw, Options& options) {
  if (options.subcommand != Subcommand::kScan) return {};
  for (const std::string& word : raw.filter) options.filter += (options.filter.empty() ? "" : " ") + word;
  if (auto filter = Filter::parse(options.filter); !filter) return tl::unexpected(filter.error());
  options.list = raw.list;
  if (raw.top.empty()) options.top = 10;
  if (!raw.max_port_use.empty()) {
    auto percent = number("--max-port-use", raw.max_port_use, 100);
    if (!percent) return tl::unexpected(percent.error());
    options.max_port_use = static_cast<double>(*percent);
  }
  const auto take = [](const char* option, const std::string& text, std::optional<std::uint64_t>& into) -> Result<void> {
    if (text.empty()) return {};
    auto most = number(option, text, std::numeric_limits<std::uint32_t>::max());
    if (!most) return tl::unexpected(most.error());
    into = *most;
    return {};
  };
  if (auto ok = take("--max-close-wait", raw.max_close_wait, options.max_close_wait); !ok) return ok;
  return take("--max-ownerless", raw.max_ownerless, options.max_ownerless);
}

[[nodiscard]] Result<void> take_values(const RawOptions& raw, Options& options) {
  auto pids = pids_of(raw.pids);
  if (!pids) return tl::unexpected(pids.error());
  options.pids = std::move(*pids);
  auto types = types_of(raw.types);
  if (!types) return tl::unexpected(types.error());
  options.types = std::move(*types);
  std::optional<Duration> settle;
  if (auto ok = take_duration(raw.duration, options.duration); !ok) return ok;
  if (auto ok = take_duration(raw.older, options.older); !ok) return ok;
  if (auto ok = take_duration(raw.interval, options.interval); !ok) return ok;
  if (auto ok = take_duration(raw.settle, settle); !ok) return ok;
  if (options.interval && *options.interval < std::chrono::milliseconds(10)) {
    return usage("--interval is too short", "at least 10ms");
  }
  options.settle = settle.value_or(Duration::zero());
  if (auto ok = understand_numbers(raw, options); !ok) return ok;
  if (auto ok = take_check(raw, options); !ok) return ok;
  auto outputs = outputs_of(raw);
  if (!outputs) return tl::unexpected(outputs.error());
  options.outputs = std::move(*outputs);
  options.cgroup = raw.cgroup;
  options.container = raw.container;
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (!std::all_of(raw.container.begin(), raw.container.end(), is_hex)) {
    return usage("--container takes hex digits, not " + quote(raw.container),
                 "the kernel knows no names: docker inspect -f {{.Id}} NAME tells the id");
  }
  options.all = raw.all;
  options.user = raw.user;
  options.follow_children = !raw.no_children;
  options.copy_stacks = !raw.no_snapshot;
  options.debuginfod = raw.debuginfod;
  options.record = raw.record;
  options.quiet = raw.quiet;
  options.verbose = raw.verbose;
  options.color = !raw.no_color;
  options.json = raw.json;
  options.recordings = raw.recordings;
  return take_scan(raw, options);
}

/// What cannot be meant together.
[[nodiscard]] Result<void> check_combination(const Options& options, bool dashes) {
  const bool live = options.subcommand == Subcommand::kTrace || options.subcommand == Subcommand::kCheck;
  if (!live && dashes) return usage("a command after -- can only be given to trace and check");
  if (options.subcommand == Subcommand::kReport && options.recordings.empty()) {
    return usage("no recording", "give a file that --record has written");
  }
  if (!live) return {};
  if (dashes && options.command.empty()) return usage("there is no command after --");
  const bool scope = !options.cgroup.empty() || !options.container.empty() || options.all;
  const int targets = static_cast<int>(!options.pids.empty()) + static_cast<int>(!options.command.empty()) +
                      static_cast<int>(!options.cgroup.empty()) + static_cast<int>(!options.container.empty()) +
                      static_cast<int>(options.all);
  const bool is_loaded = options.subcommand == Subcommand::kCheck && options.command_is_load() && targets == 2;
  if (targets > 1 && !is_loaded) {
    return usage("only one of -p, -c, --container, -a and a command can be the target",
                 options.command_is_load() ? "check takes a command beside -p, -c or --container: the load" : "");
  }
  if (targets == 0) return usage("nothing to watch", "give -p PID, -c CGROUP, --container ID, -a, or -- COMMAND");
  if (scope && !options.follow_children) return usage("--no-children is for -p and for a command after --");
  if (!options.user.empty() && options.command.empty()) return usage("--user is for a command after --");
  return {};
}

}  // namespace

std::string quote(std::string_view text) {
  std::string out = "'";
  return out.append(escape_terminal(text)).append("'");
}

Result<Options> understand(const RawOptions& raw, Options options, bool dashes) {
  if (options.subcommand == Subcommand::kDestroy) {
    auto destroy = understand(raw.destroy, !raw.pids.empty());
    if (!destroy) return tl::unexpected(destroy.error());
    options.destroy = std::move(*destroy);
  } else {
    auto leftovers = understand_leftovers(raw.destroy, raw.destroy_leftovers);
    if (!leftovers) return tl::unexpected(leftovers.error());
    options.destroy = std::move(*leftovers);
    options.destroy_leftovers = raw.destroy_leftovers;
  }
  return take_values(raw, options).and_then([&] { return check_combination(options, dashes); }).map([&] {
    return std::move(options);
  });
}

}  // namespace sockleak
