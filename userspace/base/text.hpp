// Text helpers shared by everything that prints: escaping, durations, numbers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/time.hpp"

namespace sockleak {

/// For terminals: control bytes, DEL, C1 controls and invalid UTF-8 become \xNN; nothing can move the cursor.
[[nodiscard]] std::string escape_terminal(std::string_view text);

/// For JSON strings: the text with every invalid UTF-8 sequence replaced by U+FFFD.
[[nodiscard]] std::string valid_utf8(std::string_view text);

/// "41 ms", "2.1 s", "48 s", "3 min 20 s", "2 h 5 min".
[[nodiscard]] std::string duration_text(Duration duration);

/// Digits grouped by thin spaces as in "4 849" (plain ASCII blank).
[[nodiscard]] std::string count_text(std::uint64_t count);

/// "1 site", "4 849 sockets".
[[nodiscard]] std::string counted(std::uint64_t count, const char* one, const char* many);

/// "250ms", "10s", "5m", "2h", a bare number means seconds. Usage error if it is none of these, negative or absurd.
[[nodiscard]] Result<Duration> parse_duration(std::string_view text);

}  // namespace sockleak
