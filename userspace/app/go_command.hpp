// Commands that are programs made by Go: what must be known of them before they run.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "stack/module_store.hpp"

namespace sockleak {

/// The program that the command runs, added to `modules`, if it is made by Go.
[[nodiscard]] std::optional<ModuleId> go_program(const std::vector<std::string>& command, ModuleStore& modules);

}  // namespace sockleak
