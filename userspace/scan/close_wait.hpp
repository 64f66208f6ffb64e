// CLOSE_WAIT by holder and age. The kernel keeps no time of the peer's FIN; since the peer was last heard is the least
// that it can be.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "scan/scan_report.hpp"

namespace sockleak {

struct CloseWaitAge {
  Duration at_least{};
  std::uint64_t count = 0;
};

struct CloseWaitGroup {
  Pid pid;  // 0 = the holder is not to be seen
  std::string comm;
  std::uint64_t count = 0;
  Duration oldest{};
  std::array<CloseWaitAge, 4> ages{{{std::chrono::hours(1)}, {std::chrono::minutes(10)}, {std::chrono::minutes(1)}, {}}};
  std::vector<std::int32_t> descriptors;  // the first ones
};

/// Of the selected sockets that are held, or may be; those with most sockets first.
[[nodiscard]] std::vector<CloseWaitGroup> close_wait_by_holder(const ScanReport& report);

}  // namespace sockleak
