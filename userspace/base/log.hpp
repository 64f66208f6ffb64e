// The only door to spdlog. Everything goes to stderr; stdout belongs to the report.
// debug: for us. info: progress a user asked for with -v. warning: the result is affected. error: one line before exit.
#pragma once

#include <string_view>

namespace sockleak::log {

enum class Level { kDebug, kInfo, kWarning, kError, kOff };

/// Call once at start. `color`: whether stderr may carry terminal colours.
void configure(Level level, bool color);
/// Called before every line is written, e.g. to clear a status line; nullptr = nothing.
void before_line(void (*hook)());

void debug(std::string_view text);
void info(std::string_view text);
void warning(std::string_view text);
void error(std::string_view text);

}  // namespace sockleak::log
