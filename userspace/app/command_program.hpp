// The file that a command will run: what must be known of it before it does.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "stack/module_store.hpp"

namespace sockleak {

/// The program that the command runs, added to `modules`; nothing if it is no ELF file (a script) or there is none.
[[nodiscard]] std::optional<ModuleId> command_program(const std::vector<std::string>& command, ModuleStore& modules);

}  // namespace sockleak
