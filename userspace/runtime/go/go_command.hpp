// Commands that are programs made by Go: what must be set before they run.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "stack/module_store.hpp"

namespace sockleak {

/// What to add to the environment of a command that runs `program` so that it keeps its goroutines' ancestors: nothing if
/// that is not made by Go, or `ancestors` is 0.
[[nodiscard]] std::vector<std::string> go_environment(const Module& program, unsigned ancestors);

/// "GODEBUG=..." that makes a program keep so many ancestors of each goroutine; `former` is what GODEBUG is now, nullptr =
/// not set. Nothing if it says already how many.
[[nodiscard]] std::optional<std::string> go_debug(const char* former, unsigned ancestors);

}  // namespace sockleak
