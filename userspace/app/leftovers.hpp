// `trace --destroy` and `check --destroy`: the sockets that outlived the process that made them, and no others.
#pragma once

#include "app/destroy_options.hpp"
#include "app/signals.hpp"
#include "base/result.hpp"
#include "judge/rule.hpp"
#include "report/action.hpp"

namespace sockleak {

/// Plans, asks if it must, acts. An error if the kernel could not be asked.
[[nodiscard]] Result<ReportActions> destroy_leftovers(const Tracker& tracker, const JudgeOptions& judge,
                                                      const DestroyOptions& wanted, Signals& signals);

}  // namespace sockleak
