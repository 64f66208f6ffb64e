// The ladder for a holder that is alive but stuck: SIGTERM to the whole process, a while of grace, SIGKILL. Only
// through pidfds, so that a number that was given to another process meanwhile is never hit.
#pragma once

#include <chrono>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "act/plan.hpp"
#include "base/handle.hpp"
#include "base/result.hpp"

namespace sockleak::act {

struct Stoppable {
  Pid pid;
  std::string comm;
  std::string unit;  // systemd's name of it, if it has one: restarting that is the better way
  UniqueFd process;  // pidfd
};

struct StoppableHolders {
  std::vector<Stoppable> processes;
  std::vector<std::string> refused;  // one sentence each
};

/// The processes that hold the plan's allowed sockets. Each is verified to hold one of them right now, by cookie.
[[nodiscard]] StoppableHolders stoppable_holders(const Plan& plan, const Guards& guards);

enum class StopOutcome : std::uint8_t { kEnded, kKilled, kStillThere, kNotPermitted, kLeftAlone };
[[nodiscard]] const char* to_string(StopOutcome outcome);  // "ended after SIGTERM"

struct StopOptions {
  std::chrono::nanoseconds grace{};
  /// Returns true once the descriptor is readable, false after the time or when interrupted.
  std::function<bool(int fd, std::chrono::nanoseconds)> wait;
  std::function<bool()> interrupted;  // no further signal then
};
/// All of them share the grace. One outcome per holder, in order.
[[nodiscard]] std::vector<StopOutcome> stop(std::span<const Stoppable> holders, const StopOptions& options);

/// The systemd service in the text of /proc/PID/cgroup; empty if there is none.
[[nodiscard]] std::string service_of(std::string_view cgroups);

}  // namespace sockleak::act
