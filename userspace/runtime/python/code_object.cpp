// Formats: Include/cpython/unicodeobject.h; Objects/lnotab_notes.txt (up to 3.10) and Objects/locations.md,
// InternalDocs/code_objects.md (since 3.11) of the CPython sources.
#include "runtime/python/code_object.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace sockleak {
namespace {

template <typename T>
T value_at(std::span<const std::byte> bytes, std::size_t offset) {
  T value{};
  if (offset + sizeof(T) <= bytes.size()) std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

void append_utf8(std::string& text, std::uint32_t point) {
  const auto put = [&](std::uint32_t byte) { text += static_cast<char>(byte); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xc0 | point >> 6);
    put(0x80 | (point & 0x3f));
  } else if (point < 0x10000) {
    put(0xe0 | point >> 12);
    put(0x80 | (point >> 6 & 0x3f));
    put(0x80 | (point & 0x3f));
  } else if (point < 0x110000) {
    put(0xf0 | point >> 18);
    put(0x80 | (point >> 12 & 0x3f));
    put(0x80 | (point >> 6 & 0x3f));
    put(0x80 | (point & 0x3f));
  }
}

/// Takes the table's bytes one by one; behind its end come zeros, and ended() is true.
class Table {
 public:
  explicit Table(std::span<const std::byte> bytes) : rest_(bytes) {}
  unsigned byte() {
    if (rest_.empty()) {
      ended_ = true;
      return 0;
    }
    const auto value = std::to_integer<unsigned>(rest_.front());
    rest_ = rest_.subspan(1);
    return value;
  }
  std::int32_t signed_byte() { return static_cast<std::int8_t>(byte()); }
  void skip(std::size_t count) {
    while (count-- > 0) byte();
  }
  /// Six bits a byte, the lowest first; bit 6 says that more follow.
  std::uint32_t number() {
    std::uint32_t value = 0;
    for (unsigned shift = 0; shift < 32; shift += 6) {
      const unsigned next = byte();
      value |= (next & 63) << shift;
      if ((next & 64) == 0) break;
    }
    return value;
  }
  std::int32_t signed_number() {
    const std::uint32_t value = number();
    const auto half = static_cast<std::int32_t>(value >> 1);
    return (value & 1) != 0 ? -half : half;
  }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }
  [[nodiscard]] bool ended() const { return ended_; }

 private:
  std::span<const std::byte> rest_;
  bool ended_ = false;
};

std::uint32_t line_number(std::int64_t line) {
  return line > 0 && line <= std::numeric_limits<std::int32_t>::max() ? static_cast<std::uint32_t>(line) : 0;
}

// Pairs: so many bytes further on the line is so many lines further down.
std::uint32_t line_of_lnotab(Table table, std::int64_t line, std::uint32_t offset) {
  std::uint64_t address = 0;
  while (!table.at_end()) {
    address += table.byte();
    if (address > offset) break;
    line += table.signed_byte();
  }
  return line_number(line);
}

// Pairs: the line changes by so much, for so many bytes; -128 says that they have no line.
std::uint32_t line_of_linetable(Table table, std::int64_t line, std::uint32_t offset) {
  constexpr std::int32_t kNoLine = -128;
  std::uint64_t end = 0;
  while (!table.at_end()) {
    end += table.byte();
    const std::int32_t change = table.signed_byte();
    if (change != kNoLine) line += change;
    if (offset < end) return change == kNoLine ? 0 : line_number(line);
  }
  return 0;
}

std::uint32_t line_of_locations(Table table, std::int64_t line, std::uint32_t offset) {
  constexpr unsigned kOneLine0 = 10, kOneLine2 = 12, kNoColumns = 13, kLong = 14, kNone = 15;
  constexpr std::uint64_t kUnit = 2;  // bytes
  std::uint64_t end = 0;
  while (!table.at_end()) {
    const unsigned first = table.byte();
    const unsigned kind = first >> 3 & 15;
    end += ((first & 7) + 1) * kUnit;
    if (kind < kOneLine0) {
      table.skip(1);
    } else if (kind <= kOneLine2) {
      line += kind - kOneLine0;
      table.skip(2);
    } else if (kind == kNoColumns) {
      line += table.signed_number();
    } else if (kind == kLong) {
      line += table.signed_number();
      table.number();  // last line
      table.number();  // columns
      table.number();
    }
    if (table.ended()) return 0;
    if (offset < end) return kind == kNone ? 0 : line_number(line);
  }
  return 0;
}

}  // namespace

std::string python_text(unsigned minor, std::span<const std::byte> object) {
  constexpr std::size_t kLength = 16, kState = 32;
  const std::size_t wide_pointer = minor >= 12 ? 0 : 8;  // wstr, gone with 3.12; the other kind had its length too
  const auto length = value_at<std::uint64_t>(object, kLength);
  const auto state = value_at<std::uint32_t>(object, kState);
  const unsigned width = state >> 2 & 7;
  const bool compact = (state >> 5 & 1) != 0, ascii = (state >> 6 & 1) != 0;
  if (!compact || (width != 1 && width != 2 && width != 4)) return {};
  std::size_t at = ascii ? 40 + wide_pointer : 56 + 2 * wide_pointer;
  std::string text;
  for (std::uint64_t i = 0; i < length && at + width <= object.size(); ++i, at += width) {
    const std::uint32_t point = width == 1   ? value_at<std::uint8_t>(object, at)
                                : width == 2 ? value_at<std::uint16_t>(object, at)
                                             : value_at<std::uint32_t>(object, at);
    if (point == 0) break;  // the end of what could be read
    append_utf8(text, point);
  }
  return text;
}

std::uint32_t python_line(unsigned minor, const PythonCode& code, std::uint32_t offset) {
  const Table table(code.lines);
  if (minor <= 9) return line_of_lnotab(table, code.first_line, offset);
  if (minor == 10) return line_of_linetable(table, code.first_line, offset);
  return line_of_locations(table, code.first_line, offset);
}

}  // namespace sockleak
