// Sockets of families that are not judged, counted.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "scan/scan_report.hpp"

namespace sockleak {

struct OtherCount {
  std::string name;  // of a family, or of a process
  Pid pid;           // of a process
  std::uint64_t count = 0;
};

/// Most first.
[[nodiscard]] std::vector<OtherCount> others_by_family(const ScanReport& report);
/// Each socket counts for whoever holds it first.
[[nodiscard]] std::vector<OtherCount> others_by_holder(const ScanReport& report);
/// What one process holds, by family.
[[nodiscard]] std::vector<OtherCount> others_of(const ScanReport& report, Pid pid);

/// "60 unix, 60 netlink"
[[nodiscard]] std::string families_text(const std::vector<OtherCount>& families);

}  // namespace sockleak
