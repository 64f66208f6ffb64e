#include "base/text.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace sockleak {
namespace {

using namespace std::chrono_literals;
using std::string_view_literals::operator""sv;

TEST(EscapeTerminal, LeavesOrdinaryTextAlone) {
  EXPECT_EQ(escape_terminal(""), "");
  EXPECT_EQ(escape_terminal("db::connect(Url const&) a\\b"), "db::connect(Url const&) a\\b");
  EXPECT_EQ(escape_terminal("naïve · 名前 \U0001F600"), "naïve · 名前 \U0001F600");
}

TEST(EscapeTerminal, DisarmsControlBytes) {
  EXPECT_EQ(escape_terminal("\x1b[31mred\x1b[0m"), "\\x1b[31mred\\x1b[0m");
  EXPECT_EQ(escape_terminal("a\nb\rc\td\be\af"), "a\\x0ab\\x0dc\\x09d\\x08e\\x07f");
  EXPECT_EQ(escape_terminal("a\0b"sv), "a\\x00b");
  EXPECT_EQ(escape_terminal("\x7f"), "\\x7f");
}

TEST(EscapeTerminal, DisarmsC1ControlsInBothForms) {
  EXPECT_EQ(escape_terminal("\xc2\x9b"
                            "31m"),
            "\\xc2\\x9b31m");  // CSI as UTF-8
  EXPECT_EQ(escape_terminal("\x9b"
                            "31m"),
            "\\x9b31m");  // CSI as a bare byte
  EXPECT_EQ(escape_terminal("\xc2\x80\xc2\x9f\xc2\xa0"), "\\xc2\\x80\\xc2\\x9f\xc2\xa0");
}

TEST(EscapeTerminal, DisarmsCharactersThatReorderOrBreakALine) {
  EXPECT_EQ(escape_terminal("\u202e"
                            "gpj.exe"),
            "\\xe2\\x80\\xaegpj.exe");
  EXPECT_EQ(escape_terminal("\u2066\u2069"), "\\xe2\\x81\\xa6\\xe2\\x81\\xa9");
  EXPECT_EQ(escape_terminal("\u2028"), "\\xe2\\x80\\xa8");
}

TEST(EscapeTerminal, ShowsInvalidUtf8AsBytes) {
  EXPECT_EQ(escape_terminal("\xff\xfe"), "\\xff\\xfe");
  EXPECT_EQ(escape_terminal("\xc0\xaf"), "\\xc0\\xaf");           // overlong '/'
  EXPECT_EQ(escape_terminal("\xe0\x80\x9b"), "\\xe0\\x80\\x9b");  // overlong C1
  EXPECT_EQ(escape_terminal("\xc1\x9b"), "\\xc1\\x9b");           // overlong '['
  EXPECT_EQ(escape_terminal("\xf0\x80\x80\xaf"), "\\xf0\\x80\\x80\\xaf");
  EXPECT_EQ(escape_terminal("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // surrogate
  EXPECT_EQ(escape_terminal("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(escape_terminal("a\xe2\x82"), "a\\xe2\\x82");  // cut at the end
  EXPECT_EQ(escape_terminal("\xe2\x82"
                            "A"),
            "\\xe2\\x82"
            "A");  // cut in the middle
}

TEST(ValidUtf8, KeepsWhatIsValidControlsIncluded) {
  EXPECT_EQ(valid_utf8("a\x1b\n\0é 名"sv), "a\x1b\n\0é 名"sv);
}

TEST(ValidUtf8, ReplacesEachMaximalSubpartOnce) {
  EXPECT_EQ(valid_utf8("\xff\xfe"), "\uFFFD\uFFFD");
  EXPECT_EQ(valid_utf8("\xc0\xaf"), "\uFFFD\uFFFD");
  EXPECT_EQ(valid_utf8("\xe2\x82"), "\uFFFD");
  EXPECT_EQ(valid_utf8("\xe2\x82"
                       "A"),
            "\uFFFD"
            "A");
  EXPECT_EQ(valid_utf8("\xed\xa0\x80"), "\uFFFD\uFFFD\uFFFD");
  // The example of the Unicode Standard, section 3.9, table 3-11.
  EXPECT_EQ(valid_utf8("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41"), "\uFFFD\uFFFD\uFFFD\uFFFD\x41");
}

TEST(DurationText, UsesTheUnitsPeopleUse) {
  EXPECT_EQ(duration_text(0ns), "0 ms");
  EXPECT_EQ(duration_text(-5s), "0 ms");
  EXPECT_EQ(duration_text(1ns), "1 µs");
  EXPECT_EQ(duration_text(850us), "850 µs");
  EXPECT_EQ(duration_text(999'499ns), "999 µs");
  EXPECT_EQ(duration_text(999'500ns), "1 ms");
  EXPECT_EQ(duration_text(2100us), "2.1 ms");
  EXPECT_EQ(duration_text(41ms), "41 ms");
  EXPECT_EQ(duration_text(999'499'999ns), "999 ms");
  EXPECT_EQ(duration_text(999'500'000ns), "1 s");
  EXPECT_EQ(duration_text(2100ms), "2.1 s");
  EXPECT_EQ(duration_text(9949ms), "9.9 s");
  EXPECT_EQ(duration_text(9950ms), "10 s");
  EXPECT_EQ(duration_text(48s), "48 s");
  EXPECT_EQ(duration_text(59'499ms), "59 s");
  EXPECT_EQ(duration_text(59'500ms), "1 min");
  EXPECT_EQ(duration_text(200s), "3 min 20 s");
  EXPECT_EQ(duration_text(3599s), "59 min 59 s");
  EXPECT_EQ(duration_text(1h), "1 h");
  EXPECT_EQ(duration_text(2h + 5min), "2 h 5 min");
  EXPECT_EQ(duration_text(100h), "100 h");
  EXPECT_EQ(duration_text(Duration::max()), "2562047 h 47 min");
}

TEST(CountText, GroupsDigitsByThree) {
  EXPECT_EQ(count_text(0), "0");
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(4849), "4 849");
  EXPECT_EQ(count_text(11902), "11 902");
  EXPECT_EQ(count_text(123456), "123 456");
  EXPECT_EQ(count_text(1000000), "1 000 000");
  EXPECT_EQ(count_text(std::numeric_limits<std::uint64_t>::max()), "18 446 744 073 709 551 615");
}

TEST(ParseDuration, ReadsNumbersWithUnits) {
  const std::pair<const char*, Duration> cases[] = {
      {"250ms", 250ms}, {"10s", 10s}, {"5m", 5min},     {"2h", 2h},       {"30", 30s},     {"0", 0s},
      {"0ms", 0ms},     {"007s", 7s}, {"1.5s", 1500ms}, {"0.25h", 15min}, {"2.5", 2500ms}, {"8784h", 8784h},
  };
  for (const auto& [text, expected] : cases) {
    const Result<Duration> parsed = parse_duration(text);
    ASSERT_TRUE(parsed) << text << ": " << parsed.error().message();
    EXPECT_EQ(*parsed, expected) << text;
  }
}

TEST(ParseDuration, RefusesTheRestAsAUsageErrorWithAHint) {
  const std::pair<std::string_view, const char*> cases[] = {
      {"", "does not begin with a number"},
      {"s", "does not begin with a number"},
      {" 10s", "does not begin with a number"},
      {"+10s", "does not begin with a number"},
      {".5s", "does not begin with a number"},
      {"nan", "does not begin with a number"},
      {"inf", "does not begin with a number"},
      {"-1s", "negative"},
      {"-", "negative"},
      {"10 s", "unknown unit"},
      {"10s ", "unknown unit"},
      {"10S", "unknown unit"},
      {"10d", "unknown unit"},
      {"10us", "unknown unit"},
      {"1h30m", "unknown unit"},
      {"1e3s", "unknown unit"},
      {"0x10", "unknown unit"},
      {"10s\0"sv, "unknown unit"},
      {"1.", "digits are missing"},
      {"1.s", "digits are missing"},
      {"1.0000001s", "too many decimals"},
      {"8785h", "longer than a year"},
      {"8784.5h", "longer than a year"},
      {"900000000000000000h", "longer than a year"},
      {"9223372036854775807h", "too long"},
      {"99999999999999999999999s", "too long"},
  };
  for (const auto& [text, why] : cases) {
    const Result<Duration> parsed = parse_duration(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().kind, ErrorKind::kUsage) << text;
    EXPECT_NE(parsed.error().what.find(why), std::string::npos) << text << ": " << parsed.error().what;
    EXPECT_FALSE(parsed.error().hint.empty()) << text;
  }
}

TEST(ParseDuration, DoesNotEchoControlBytes) {
  EXPECT_EQ(parse_duration("\x1b[2J").error().what, "'\\x1b[2J' is not a duration: it does not begin with a number");
}

}  // namespace
}  // namespace sockleak
