// Carries a plan out and says of every socket what became of it, checked against the kernel's tables afterwards.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "act/kernel_sockets.hpp"
#include "act/plan.hpp"

namespace sockleak::act {

enum class Outcome : std::uint8_t { kDone, kAlreadyGone, kRefused };
[[nodiscard]] const char* to_string(Outcome outcome);  // "done" | "already gone" | "refused"

struct StepResult {
  Outcome outcome = Outcome::kRefused;
  std::string why;  // refused
};

struct CarryOutOptions {
  std::optional<unsigned> per_second;                   // no more than so many
  std::function<bool()> interrupted;                    // asked between sockets: true = leave the rest alone
  std::function<void(std::chrono::nanoseconds)> pause;  // waits, unless interrupted
};

/// One result per step of the plan, in its order. An error only if the kernel could not be asked at all.
[[nodiscard]] Result<std::vector<StepResult>> carry_out(const Plan& plan, KernelSockets& kernel,
                                                        const CarryOutOptions& options);

/// Every step that was allowed is done, or its socket was gone before.
[[nodiscard]] bool everything_done(const Plan& plan, const std::vector<StepResult>& results);

}  // namespace sockleak::act
