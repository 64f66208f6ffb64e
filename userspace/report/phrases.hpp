// What the facts of one finding read like: the pieces of a text report. Everything returned is escaped for terminals;
// an empty phrase means there is nothing to say.
#pragma once

#include <cstdint>
#include <string>

#include "report/report.hpp"

namespace sockleak {

inline constexpr const char* kDot = " · ";

/// ASCII only: words of ours.
[[nodiscard]] std::string upper(std::string text);

/// "+12/min"; slow leaks per hour; empty when there is nothing to say.
[[nodiscard]] std::string rate_text(double per_minute);

/// "TCP to 10.0.0.9:5432 and 2 others"; accepted sockets: "TCP on :8080 from 10.0.0.7".
[[nodiscard]] std::string traffic_text(const ReportFinding& finding);

[[nodiscard]] std::string states_text(const ReportFinding& finding);

[[nodiscard]] std::string creators_text(const ReportFinding& finding, bool verbose);

[[nodiscard]] std::string closed_text(const ReportClose& close, bool verbose);

[[nodiscard]] std::string holders_text(const ReportFinding& finding, bool verbose);

/// "done" / "refused: it listens ..." / "planned".
[[nodiscard]] std::string outcome_text(const ReportAction& action);

/// "tcp 10.0.0.1:41000 -> 10.0.0.9:5432 · held by sh (901) fd 19 · stays: the descriptor ...".
[[nodiscard]] std::string action_text(const ReportAction& action);

[[nodiscard]] std::string socket_text(const ReportSocket& socket);

}  // namespace sockleak
