// The port gauge of `scan` for the report of a session: what tracked sockets use.
#pragma once

#include <vector>

#include "report/report.hpp"
#include "scan/snapshot.hpp"
#include "track/tracker.hpp"

namespace sockleak {

/// Of destinations that tracked sockets go to, most used first, at most 100.
[[nodiscard]] std::vector<ReportPortUse> port_use(const Snapshot& look, const Tracker& tracker);

}  // namespace sockleak
