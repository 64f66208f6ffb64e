// What a report says beside its findings: ephemeral ports, sockets of families that are not followed, what counts for the
// exit status.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "report/report.hpp"

namespace sockleak {

/// Destinations towards which ephemeral ports run out, a sentence each.
[[nodiscard]] std::vector<std::string> crowded_ports(const Report& report);

/// A line each, for below the totals.
[[nodiscard]] std::vector<std::string> remarks(const Report& report);

[[nodiscard]] nlohmann::ordered_json ports_json(const Report& report);
[[nodiscard]] nlohmann::ordered_json other_families_json(const Report& report);
[[nodiscard]] nlohmann::ordered_json counting_json(const ReportCounting& counting);

}  // namespace sockleak
