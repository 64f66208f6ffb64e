#include "app/command_program.hpp"

#include <fcntl.h>

#include "process/program_path.hpp"

namespace sockleak {
namespace {

[[nodiscard]] UniqueFd open_program(const std::string& path) {
  return UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

}  // namespace

std::optional<ModuleId> command_program(const std::vector<std::string>& command, ModuleStore& modules) {
  const std::string path = command.empty() ? std::string() : program_path(command.front());
  if (path.empty()) return std::nullopt;
  ModuleStore trial;  // a script is none of the traced modules
  if (trial.get(trial.add(path, open_program(path))).segments.empty()) return std::nullopt;
  return modules.add(path, open_program(path));
}

}  // namespace sockleak
