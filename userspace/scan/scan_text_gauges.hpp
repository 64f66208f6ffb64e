// The sections about what may run out: descriptors, accept queues, ports; and the settings. Only for scan_text.
#pragma once

#include <string>

#include "scan/scan_report.hpp"
#include "scan/text_lines.hpp"

namespace sockleak {

void write_gauges(const ScanReport& report, TextLines& lines);

[[nodiscard]] std::string endpoint_text(const Endpoint& endpoint);
[[nodiscard]] std::string process_text(const std::string& comm, Pid pid);  // "orders (812)"
[[nodiscard]] std::string holder_text(const ScanHolder& holder);           // "orders (812) fd 19"

}  // namespace sockleak
