// Escaping, durations and numbers. No locale is consulted anywhere: the same input prints the same bytes everywhere.
#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <limits>

namespace sockleak {
namespace {

/// One step through a text: either a whole character, or a stretch of bytes that is no UTF-8.
struct Utf8Step {
  std::size_t length = 1;
  char32_t character = 0;
  bool valid = false;
};

[[nodiscard]] std::uint8_t byte_at(std::string_view text, std::size_t at) {
  return static_cast<std::uint8_t>(text[at]);
}

/// Well-formed sequences as in the Unicode Standard, table 3-7: no overlong forms, no surrogates, nothing above
/// U+10FFFF. An ill-formed stretch is its maximal subpart (section 3.9), so decoders agree on how many there are.
[[nodiscard]] Utf8Step step_at(std::string_view text, std::size_t at) {
  const std::uint8_t first = byte_at(text, at);
  if (first < 0x80) return {1, first, true};
  if (first < 0xC2 || first > 0xF4) return {};
  const std::size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  std::uint8_t low = 0x80;
  std::uint8_t high = 0xBF;
  if (first == 0xE0) low = 0xA0;
  if (first == 0xED) high = 0x9F;
  if (first == 0xF0) low = 0x90;
  if (first == 0xF4) high = 0x8F;
  char32_t character = first & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if (at + i >= text.size()) return {i, 0, false};
    const std::uint8_t next = byte_at(text, at + i);
    if (next < low || next > high) return {i, 0, false};
    character = (character << 6U) | (next & 0x3FU);
    low = 0x80;
    high = 0xBF;
  }
  return {length, character, true};
}

/// Characters that move the cursor, start an escape sequence or reorder what stands beside them: C0, DEL, C1, line
/// and paragraph separators, and the bidirectional controls ("Trojan Source", CVE-2021-42574).
[[nodiscard]] bool steers_terminal(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0x061C || c == 0x200E || c == 0x200F ||
         (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

void append_hex(std::string& out, std::uint8_t byte) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += "\\x";
  out += kDigits[byte >> 4U];
  out += kDigits[byte & 0xFU];
}

/// "2.1 s" below ten, "48 s" from there on, "5 s" when there is nothing after the point.
[[nodiscard]] std::string rounded_text(std::int64_t ns, std::int64_t unit_ns, const char* unit) {
  const std::int64_t tenths = (ns + unit_ns / 20) / (unit_ns / 10);
  if (tenths >= 100) return std::to_string((ns + unit_ns / 2) / unit_ns) + unit;  // from ns: never round twice
  std::string out = std::to_string(tenths / 10);
  if (tenths % 10 != 0) out += '.' + std::to_string(tenths % 10);
  return out + unit;
}

[[nodiscard]] std::string two_units(std::int64_t total, std::int64_t per, const char* big, const char* small) {
  std::string out = std::to_string(total / per) + big;
  if (total % per != 0) out += ' ' + std::to_string(total % per) + small;
  return out;
}

struct Unit {
  std::string_view suffix;
  Duration length;
};

constexpr std::array kUnits{
    Unit{"ms", std::chrono::milliseconds(1)}, Unit{"s", std::chrono::seconds(1)}, Unit{"", std::chrono::seconds(1)},
    Unit{"m", std::chrono::minutes(1)},       Unit{"h", std::chrono::hours(1)},
};

/// Longer than any session: what exceeds it is a slip of the hand, and the limit keeps arithmetic on times in range.
constexpr Duration kLongestDuration = std::chrono::hours(24 * 366);

/// Reads digits from the front of `text`; false if there are none or the number is out of all range.
[[nodiscard]] bool take_digits(std::string_view& text, std::int64_t& value, std::size_t& digits) {
  constexpr std::int64_t kLimit = (std::numeric_limits<std::int64_t>::max() - 9) / 10;
  for (digits = 0; !text.empty() && text.front() >= '0' && text.front() <= '9'; ++digits) {
    if (value > kLimit) return false;
    value = value * 10 + (text.front() - '0');
    text.remove_prefix(1);
  }
  return digits != 0;
}

[[nodiscard]] tl::unexpected<Error> bad_duration(std::string_view text, const char* why) {
  std::string what = "'";
  what.append(escape_terminal(text)).append("' is not a duration: ").append(why);
  return fail(ErrorKind::kUsage, std::move(what), "write a number and a unit, as in 250ms, 10s, 5m or 2h");
}

}  // namespace

std::string escape_terminal(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = step_at(text, at);
    if (step.valid && !steers_terminal(step.character)) {
      out += text.substr(at, step.length);
    } else {
      for (std::size_t i = 0; i < step.length; ++i) append_hex(out, byte_at(text, at + i));
    }
    at += step.length;
  }
  return out;
}

std::string valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = step_at(text, at);
    if (step.valid) {
      out += text.substr(at, step.length);
    } else {
      out += "\xEF\xBF\xBD";
    }
    at += step.length;
  }
  return out;
}

std::string duration_text(Duration duration) {
  const std::int64_t ns = std::max<std::int64_t>(duration.count(), 0);  // a clock that stepped back reads as nothing
  if (ns == 0) return "0 ms";
  if (ns < 999'500) return std::to_string(std::max<std::int64_t>((ns + 500) / 1'000, 1)) + " µs";
  if (ns < 999'500'000) return rounded_text(ns, 1'000'000, " ms");
  if (ns < 59'500'000'000) return rounded_text(ns, 1'000'000'000, " s");
  const std::int64_t whole_seconds = ns / 1'000'000'000 + (ns % 1'000'000'000 >= 500'000'000 ? 1 : 0);
  if (whole_seconds < 3600) return two_units(whole_seconds, 60, " min", " s");
  return two_units((whole_seconds + 30) / 60, 60, " h", " min");
}

std::string count_text(std::uint64_t count) {
  std::string out = std::to_string(count);
  for (std::size_t at = out.size(); at > 3;) {
    at -= 3;
    out.insert(at, 1, ' ');
  }
  return out;
}

std::string counted(std::uint64_t count, const char* one, const char* many) {
  return count_text(count) + ' ' + (count == 1 ? one : many);
}

Result<Duration> parse_duration(std::string_view text) {
  std::string_view rest = text;
  if (!rest.empty() && rest.front() == '-') return bad_duration(text, "it is negative");
  std::int64_t whole = 0;
  std::size_t digits = 0;
  if (!take_digits(rest, whole, digits)) {
    return bad_duration(text, digits == 0 ? "it does not begin with a number" : "it is too long");
  }
  std::int64_t fraction = 0;
  std::int64_t scale = 1;
  if (!rest.empty() && rest.front() == '.') {
    rest.remove_prefix(1);
    constexpr std::size_t kMaxDecimals = 6;  // hours * 10^6 stays far inside 64 bits
    if (!take_digits(rest, fraction, digits)) return bad_duration(text, "digits are missing after the point");
    if (digits > kMaxDecimals) return bad_duration(text, "it has too many decimals");
    for (std::size_t i = 0; i < digits; ++i) scale *= 10;
  }
  const auto* unit = std::find_if(kUnits.begin(), kUnits.end(), [rest](const Unit& u) { return u.suffix == rest; });
  if (unit == kUnits.end()) return bad_duration(text, "unknown unit");
  const std::int64_t length = unit->length.count();
  // fraction < 10^6 and length <= 3.6 * 10^12: the product fits.
  if (whole > kLongestDuration.count() / length) return bad_duration(text, "it is longer than a year");
  const Duration result(whole * length + fraction * length / scale);
  if (result > kLongestDuration) return bad_duration(text, "it is longer than a year");
  return result;
}

}  // namespace sockleak
