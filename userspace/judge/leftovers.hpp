// Leftovers: sockets that outlived the process that made them, in the hands of another one.
#pragma once

#include <optional>
#include <vector>

#include "track/tracker.hpp"

namespace sockleak {

struct JudgeOptions;

/// How it came to those who hold it, the way that says most against them; nullopt if its creator lives, or if one of
/// them holds it for good reason.
[[nodiscard]] std::optional<HandOver> left_over(const SocketRecord& socket, const Tracker& tracker);

/// How likely a leftover that was handed over so is a mistake.
[[nodiscard]] double leftover_confidence(HandOver how, Protocol protocol);

/// Those that the last snapshot found open and that are as sure as a leak must be, oldest first. Borrowed.
[[nodiscard]] std::vector<const SocketRecord*> sure_leftovers(const Tracker& tracker, const JudgeOptions& options);

}  // namespace sockleak
