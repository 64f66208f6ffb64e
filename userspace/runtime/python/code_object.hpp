// What a code object says of itself, from the bytes that the kernel side copied: names and the line of an instruction.
// The bytes are a program's memory: anything may be in them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace sockleak {

/// A str object's characters as UTF-8: header and as many characters as were copied; "" if it is none of the compact kind.
/// `minor`: the 11 of 3.11, whose headers differ.
[[nodiscard]] std::string python_text(unsigned minor, std::span<const std::byte> object);

struct PythonCode {
  std::string name;  // qualified since 3.11; empty = could not be read
  std::string file;
  std::uint32_t first_line = 0;
  std::vector<std::byte> lines;  // co_lnotab, co_linetable or the location table
};

/// The line of the instruction at byte `offset`; 0 = it belongs to none, or the table was cut before.
[[nodiscard]] std::uint32_t python_line(unsigned minor, const PythonCode& code, std::uint32_t offset);

}  // namespace sockleak
