// Commands that are programs made by Go: what must be known of them before they run.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "stack/module_store.hpp"

namespace sockleak {

/// The program that the command runs, added to `modules`, if it is made by Go.
[[nodiscard]] std::optional<ModuleId> go_program(const std::vector<std::string>& command, ModuleStore& modules);

/// What to add to the environment of the command so that it keeps its goroutines' ancestors; 0 = nothing.
[[nodiscard]] std::vector<std::string> go_environment(std::optional<ModuleId> program, unsigned ancestors);

/// "GODEBUG=..." that makes a program keep so many ancestors of each goroutine; `former` is what GODEBUG is now, nullptr =
/// not set. Nothing if it says already how many.
[[nodiscard]] std::optional<std::string> go_debug(const char* former, unsigned ancestors);

}  // namespace sockleak
