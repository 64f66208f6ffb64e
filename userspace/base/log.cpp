#include "base/log.hpp"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace sockleak::log {
namespace {

void (*g_before_line)() = nullptr;

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto made = std::make_shared<spdlog::logger>("sockleak", std::make_shared<spdlog::sinks::stderr_color_sink_st>());
    made->set_pattern("sockleak: %v");
    made->set_level(spdlog::level::warn);
    return made;
  }();
  return *instance;
}

void write(spdlog::level::level_enum level, std::string_view text) {
  if (!logger().should_log(level)) return;
  if (g_before_line != nullptr) g_before_line();
  logger().log(level, "{}", text);
}

}  // namespace

void configure(Level level, bool color) {
  constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                                   spdlog::level::err, spdlog::level::off};
  logger().set_level(kLevels[static_cast<int>(level)]);
  if (color) logger().set_pattern("sockleak: %^%v%$");
}

void before_line(void (*hook)()) { g_before_line = hook; }

void debug(std::string_view text) { write(spdlog::level::debug, text); }
void info(std::string_view text) { write(spdlog::level::info, text); }
void warning(std::string_view text) { write(spdlog::level::warn, text); }
void error(std::string_view text) { write(spdlog::level::err, text); }

}  // namespace sockleak::log
