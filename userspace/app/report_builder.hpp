// Tracker + judge + symbolizer -> Report. Deterministic: the same events, session and stacks give the same report.
#pragma once

#include "app/session.hpp"
#include "base/counters.hpp"
#include "report/report.hpp"
#include "stack/stack_store.hpp"
#include "symbolize/symbolizer.hpp"
#include "track/tracker.hpp"

namespace sockleak {

/// Sockets shown per finding; `leaked` counts all of them.
inline constexpr std::size_t kShownSockets = 100;

/// Rows of the table of open sockets; `totals.open` counts all.
inline constexpr std::size_t kShownOpenSockets = 100'000;

struct ReportInput {
  const Session& session;
  const Tracker& tracker;
  const StackStore& stacks;
  Symbolizer& symbolizer;
  Counters counters;        // of the source and of the pipeline
  bool every_site = false;  // fill Report::sites and Report::open_sockets
};

/// Judges as of the newest event.
[[nodiscard]] Report build_report(const ReportInput& input);

/// What `check` ends with: leaks, then the command's own failure, then incomplete data. For a session of `trace`: 0.
[[nodiscard]] int exit_status(const Report& report, const Session& session);

}  // namespace sockleak
