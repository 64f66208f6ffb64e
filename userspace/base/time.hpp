// Time is data: it comes with events (KernelTime = CLOCK_MONOTONIC, as bpf_ktime_get_ns) or is passed in as `now`.
#pragma once

#include <chrono>
#include <cstdint>

namespace sockleak {

using Duration = std::chrono::nanoseconds;

struct KernelTime {
  std::uint64_t ns = 0;
  friend constexpr auto operator<=>(KernelTime, KernelTime) = default;
  friend constexpr Duration operator-(KernelTime a, KernelTime b) {
    return Duration(static_cast<std::int64_t>(a.ns) - static_cast<std::int64_t>(b.ns));
  }
  friend constexpr KernelTime operator+(KernelTime a, Duration d) {
    return KernelTime{a.ns + static_cast<std::uint64_t>(d.count())};
  }
};

[[nodiscard]] inline double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace sockleak
