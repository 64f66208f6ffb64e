// The facts of one session that are not events: host, target, hooks, how it is to be judged. They travel in a
// recording as JSON, so that the report of a replay is the report of the live run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "app/options.hpp"
#include "app/process_names.hpp"
#include "base/result.hpp"
#include "judge/rule.hpp"
#include "report/report.hpp"
#include "track/tracker.hpp"

namespace sockleak {

struct Session {
  std::string tool_version;
  HostFacts host;
  TargetFacts target;
  std::vector<HookChoice> hooks;
  std::int64_t started_ms = 0;  // wall clock, ms since 1970; 0 = unknown

  JudgeOptions judge;
  Duration growth_window = TrackerOptions{}.growth_window;

  bool check = true;  // `check`: the exit status says what was found
  std::uint64_t max_leaks = 0;
  int leak_exit_code = 1;
  bool fail_on_suspect = false;
  std::vector<std::string> only;  // rules; empty = any
  Duration warmup{};

  ProcessNames names;
  std::vector<ReportPortUse> ports;          // as the last look found them
  std::vector<ReportFamily> other_families;  // likewise
  std::optional<ReportActions> actions;  // with --destroy
};

/// What is known before a live session begins.
[[nodiscard]] Session new_session(const Options& options);

[[nodiscard]] std::string session_json(const Session& session);

/// Recordings come from anywhere: what is missing or of the wrong type keeps its default. An empty text, as of a
/// recording that was cut, gives a session of unknowns.
[[nodiscard]] Session parse_session(const std::string& json);

/// uname and boot id of this machine.
[[nodiscard]] HostFacts host_facts();

/// "2030-01-01T00:00:00.250Z"; empty for 0.
[[nodiscard]] std::string rfc3339(std::int64_t ms_since_1970);

}  // namespace sockleak
