#include "app/go_command.hpp"

#include <fcntl.h>

#include <cstdlib>
#include <string_view>

#include "process/program_path.hpp"
#include "stack/go_table.hpp"

namespace sockleak {
namespace {

[[nodiscard]] UniqueFd open_program(const std::string& path) {
  return UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

}  // namespace

std::optional<ModuleId> go_program(const std::vector<std::string>& command, ModuleStore& modules) {
  const std::string path = command.empty() ? std::string() : program_path(command.front());
  if (path.empty()) return std::nullopt;
  ModuleStore trial;  // a script or a program of another language is none of the traced modules yet
  if (!GoTable::open(trial.get(trial.add(path, open_program(path))))) return std::nullopt;
  return modules.add(path, open_program(path));
}

std::vector<std::string> go_environment(std::optional<ModuleId> program, unsigned ancestors) {
  if (!program || ancestors == 0) return {};
  const auto debug = go_debug(std::getenv("GODEBUG"), ancestors);
  return debug ? std::vector{*debug} : std::vector<std::string>{};
}

std::optional<std::string> go_debug(const char* former, unsigned ancestors) {
  constexpr std::string_view kKey = "tracebackancestors=";
  const std::string_view settings = former == nullptr ? "" : former;
  for (std::string_view rest = settings; !rest.empty();) {
    const std::size_t comma = rest.find(',');
    if (rest.starts_with(kKey)) return std::nullopt;
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
  std::string out = "GODEBUG=";
  if (!settings.empty()) out.append(settings).append(",");
  return out.append(kKey).append(std::to_string(ancestors));
}

}  // namespace sockleak
