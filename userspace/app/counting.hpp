// What counts for the exit status of `check`: --fail-on, --only, --warmup.
#pragma once

#include <string>
#include <vector>

#include "app/session.hpp"
#include "judge/finding.hpp"
#include "track/tracker.hpp"

namespace sockleak {

/// Rules that accuse; public names, those of `--only`.
[[nodiscard]] const std::vector<std::string>& accusing_rules();

class Counting {
 public:
  Counting(const Session& session, const Tracker& tracker);

  /// Takes out what was opened during the warm-up. False if nothing is left to be accused.
  bool leave_out_warmup(Finding& finding);
  void count(const Finding& finding);

  /// Nothing for sessions of `trace`.
  [[nodiscard]] std::optional<ReportCounting> result() const;

 private:
  const Session& session_;
  KernelTime warm_;  // 0 = there is no warm-up
  ReportCounting counting_;
};

}  // namespace sockleak
