#include "symbolize/debuginfod.hpp"

#include <cstdlib>
#include <ranges>

#include "base/log.hpp"

namespace sockleak {
namespace {

// Seconds: until a server that is connected must have sent something, and for one file in all; and no second try. Theirs
// are 90, none and two.
constexpr const char* kTimeout = "10";
constexpr const char* kMostTime = "60";
constexpr const char* kRetries = "0";

}  // namespace

Debuginfod::Environment::Environment(bool asks) {
  if (!asks) {
    set("DEBUGINFOD_URLS", nullptr);
    return;
  }
  if (std::getenv("DEBUGINFOD_TIMEOUT") == nullptr) set("DEBUGINFOD_TIMEOUT", kTimeout);
  if (std::getenv("DEBUGINFOD_MAXTIME") == nullptr) set("DEBUGINFOD_MAXTIME", kMostTime);
  if (std::getenv("DEBUGINFOD_RETRY_LIMIT") == nullptr) set("DEBUGINFOD_RETRY_LIMIT", kRetries);
}

Debuginfod::Environment::~Environment() {
  for (const auto& [name, value] : std::views::reverse(before_)) {
    if (value) ::setenv(name, value->c_str(), 1);
    else ::unsetenv(name);
  }
}

void Debuginfod::Environment::set(const char* name, const char* value) {
  const char* old = std::getenv(name);
  before_.emplace_back(name, old == nullptr ? std::nullopt : std::optional<std::string>(old));
  if (value != nullptr) ::setenv(name, value, 1);
  else ::unsetenv(name);
}

void Debuginfod::give_up() {
  asks_ = false;
  log::warning("no server in DEBUGINFOD_URLS answers: they are not asked again");
}

}  // namespace sockleak
