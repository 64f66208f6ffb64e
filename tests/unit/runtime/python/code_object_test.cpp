// Line tables and str objects as CPython makes them; the bytes are those of real code objects:
//   def f(x):          # line 1
//       y = x          # line 2
//
//       return y       # line 4
// printed by f.__code__.co_lnotab (3.9), co_linetable (3.10, 3.12) of that version.
#include "runtime/python/code_object.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <initializer_list>
#include <random>

namespace sockleak {
namespace {

std::vector<std::byte> bytes(std::initializer_list<int> values) {
  std::vector<std::byte> out;
  for (const int value : values) out.push_back(static_cast<std::byte>(value));
  return out;
}

PythonCode code(std::initializer_list<int> lines, std::uint32_t first_line = 1) {
  return {.name = "f", .file = "f.py", .first_line = first_line, .lines = bytes(lines)};
}

TEST(PythonLine, OfLnotab) {
  const PythonCode f = code({0, 1, 4, 2});
  EXPECT_EQ(python_line(9, f, 0), 2U);
  EXPECT_EQ(python_line(9, f, 2), 2U);
  EXPECT_EQ(python_line(9, f, 4), 4U);
  EXPECT_EQ(python_line(9, f, 1000), 4U);
}

TEST(PythonLine, OfLinetable) {
  const PythonCode f = code({4, 1, 4, 2});
  EXPECT_EQ(python_line(10, f, 0), 2U);
  EXPECT_EQ(python_line(10, f, 2), 2U);
  EXPECT_EQ(python_line(10, f, 6), 4U);
  EXPECT_EQ(python_line(10, f, 8), 0U) << "behind the end";
  EXPECT_EQ(python_line(10, code({4, 1, 2, 0x80, 4, 1}), 4), 0U) << "no line";
  EXPECT_EQ(python_line(10, code({4, 1, 2, 0x80, 4, 1}), 6), 3U);
}

TEST(PythonLine, OfLocations) {
  const PythonCode f = code({0x80, 0x00, 0xd8, 0x08, 0x09, 0x80, 0x41, 0xe0, 0x0b, 0x0c, 0x80, 0x48});
  EXPECT_EQ(python_line(12, f, 0), 1U);
  EXPECT_EQ(python_line(12, f, 2), 2U);
  EXPECT_EQ(python_line(12, f, 4), 2U);
  EXPECT_EQ(python_line(12, f, 6), 4U);
  EXPECT_EQ(python_line(12, f, 8), 4U);
}

TEST(PythonLine, OfLongAndMissingLocations) {
  const PythonCode f = code({0xf0, 0x50, 0x01, 0x00, 0x01, 0x01, 0xf8, 0xe8, 0x05}, 100);  // +40; none; -2, no columns
  EXPECT_EQ(python_line(12, f, 0), 140U);
  EXPECT_EQ(python_line(12, f, 2), 0U);
  EXPECT_EQ(python_line(12, f, 4), 138U);
}

std::vector<std::byte> str_object(std::uint64_t length, std::uint32_t state, std::size_t data, std::string_view text) {
  std::vector<std::byte> object(data + text.size());
  std::memcpy(object.data() + 16, &length, sizeof(length));
  std::memcpy(object.data() + 32, &state, sizeof(state));
  std::memcpy(object.data() + data, text.data(), text.size());
  return object;
}

constexpr std::uint32_t kAscii = 1U << 6 | 1U << 5 | 1U << 2, kLatin1 = 1U << 5 | 1U << 2, kTwoBytes = 1U << 5 | 2U << 2;

TEST(PythonText, Ascii) {
  EXPECT_EQ(python_text(11, str_object(4, kAscii, 48, "dial")), "dial");
  EXPECT_EQ(python_text(12, str_object(4, kAscii, 40, "dial")), "dial");
}

TEST(PythonText, OtherCharacters) {
  EXPECT_EQ(python_text(11, str_object(3, kLatin1, 72, "n\xe9o")), "n\xc3\xa9o");
  EXPECT_EQ(python_text(13, str_object(2, kTwoBytes, 56, std::string_view("\x2d\x4e\x87\x65", 4))), "中文");
}

TEST(PythonText, CutOrNoStr) {
  EXPECT_EQ(python_text(12, str_object(400, kAscii, 40, "only")), "only");
  EXPECT_EQ(python_text(12, str_object(4, 0, 40, "dial")), "");
  EXPECT_EQ(python_text(12, {}), "");
}

TEST(PythonLine, AnyBytesAreSafe) {
  std::mt19937 random(7);
  for (int i = 0; i < 20000; ++i) {
    PythonCode any = code({}, static_cast<std::uint32_t>(random()));
    any.lines.resize(random() % 40);
    for (std::byte& byte : any.lines) byte = static_cast<std::byte>(random());
    for (const unsigned minor : {9U, 10U, 12U}) {
      const std::uint32_t line = python_line(minor, any, static_cast<std::uint32_t>(random() % 200));
      EXPECT_LE(line, 0x7fffffffU);
    }
    EXPECT_LE(python_text(12, any.lines).size(), 4 * any.lines.size());
  }
}

}  // namespace
}  // namespace sockleak
