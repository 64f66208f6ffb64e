// A plan and its results as people and programs read them.
#pragma once

#include <string>
#include <vector>

#include "act/carry_out.hpp"
#include "act/plan.hpp"
#include "act/stop_process.hpp"
#include "report/action.hpp"

namespace sockleak {

/// What became of a process that was to be stopped.
struct StopReport {
  Pid pid;
  std::string comm;
  std::string unit;
  std::string outcome;  // empty = not yet
};

/// Sockets that share state, cause, holder and fate stand together; of each such group the first ones, unless `every`.
[[nodiscard]] std::string plan_text(const act::Plan& plan, bool every);
[[nodiscard]] std::string stops_text(const std::vector<StopReport>& stops, Duration grace);
/// `results` may be empty: nothing was done.
[[nodiscard]] std::string results_text(const act::Plan& plan, const std::vector<act::StepResult>& results, bool every);

/// `result`: null = it was only planned.
[[nodiscard]] ReportAction action_of(const act::Step& step, const act::StepResult* result);

/// sockleak.destroy/1.
[[nodiscard]] std::string destroy_json(const act::Plan& plan, const std::vector<StopReport>& stops,
                                       const std::vector<act::StepResult>& results, bool dry_run);

}  // namespace sockleak
