// Report -> text or JSON. Pure functions: no clock, no terminal, no files.
#pragma once

#include <string>

#include "report/report.hpp"

namespace sockleak {

struct TextOptions {
  bool color = false;
  bool verbose = false;      // whole stacks, all sockets
  std::size_t top = 0;       // findings to show; 0 = all
};

[[nodiscard]] std::string write_text(const Report& report, const TextOptions& options);
[[nodiscard]] std::string write_json(const Report& report);

}  // namespace sockleak
