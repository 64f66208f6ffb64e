// What a finding says of goroutines: who made its sockets, and where these goroutines came from.
#pragma once

#include <functional>
#include <vector>

#include "report/report.hpp"
#include "track/tracker.hpp"

namespace sockleak {

using ResolveStack = std::function<Stack(StackId)>;

/// Fills goroutine_created_at, goroutine_ancestors and caller with what is most frequent among the sockets; created_at
/// is there already.
void add_goroutine_facts(ReportFinding& finding, const std::vector<SocketRecord>& sockets, const Tracker& tracker,
                         const ResolveStack& resolve);

}  // namespace sockleak
