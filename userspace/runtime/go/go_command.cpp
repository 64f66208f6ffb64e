#include "runtime/go/go_command.hpp"

#include <cstdlib>
#include <string_view>

#include "stack/go_table.hpp"

namespace sockleak {
std::vector<std::string> go_environment(const Module& program, unsigned ancestors) {
  if (ancestors == 0 || !GoTable::open(program)) return {};
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
