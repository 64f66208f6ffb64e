// Which sockets `sockleak destroy` was told to destroy, and no others.
#pragma once

#include <optional>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "act/socket_facts.hpp"
#include "app/destroy_options.hpp"
#include "filter/filter.hpp"
#include "scan/snapshot.hpp"

namespace sockleak {

/// The sockets of a JSON report, by cookie.
struct ReportedSockets {
  std::string boot_id;
  std::unordered_set<SocketId> sockets;
};
/// `site`: only those of that finding; empty = of every finding, and the ownerless ones.
[[nodiscard]] Result<ReportedSockets> parse_reported_sockets(std::string_view json, std::string_view site);

struct Selection {
  Filter filter;
  std::vector<Pid> pids;  // empty = whoever holds it
  std::optional<ReportedSockets> reported;
};
/// Reads the filter and the report. An error if the report is of another boot: cookies mean nothing there.
[[nodiscard]] Result<Selection> make_selection(const DestroyOptions& options, const std::vector<Pid>& pids);

/// The sockets that everything given agrees on.
[[nodiscard]] std::vector<act::SocketFacts> select(const Snapshot& snapshot, const Selection& selection);

}  // namespace sockleak
