// What to do about a finding, in one sentence chosen from its facts.
#pragma once

#include <string>

#include "report/report.hpp"

namespace sockleak {

/// Escaped for terminals, no full stop.
[[nodiscard]] std::string remedy_text(const ReportFinding& finding);

/// True if `rule` is among the finding's evidence.
[[nodiscard]] bool accused_by(const ReportFinding& finding, std::string_view rule);

/// The processes that opened the finding's sockets hold none of them any more, but others do.
[[nodiscard]] bool held_only_by_others(const ReportFinding& finding);

}  // namespace sockleak
