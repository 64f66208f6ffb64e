// The man page names what the code can say. Who adds a counter learns here that users will look it up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>

#include "base/counters.hpp"

namespace sockleak {
namespace {

using ::testing::HasSubstr;

/// The page with roff's escaped hyphens made plain.
std::string man_page() {
  std::ifstream file(std::filesystem::absolute(__FILE__).parent_path() / "../../../docs/sockleak.8");
  const std::string source{std::istreambuf_iterator<char>(file), {}};
  return std::regex_replace(source, std::regex(R"(\\-)"), "-");
}

TEST(ManPage, ExplainsEveryCounter) {
  const std::string page = man_page();
  for (const CounterFact& fact : kCounterFacts) {
    const std::string entry = ".TP\n.B " + std::string(fact.name) + (fact.breaks_promise ? " *" : "") + "\n" +
                              std::string(fact.sentence) + "\n";
    EXPECT_THAT(page, HasSubstr(entry));
  }
}

TEST(ManPage, ExplainsNoCounterThatIsGone) {
  const std::string page = man_page();
  const std::size_t begin = page.find("\n.SH COUNTERS\n");
  ASSERT_NE(begin, std::string::npos);
  const std::string section = page.substr(begin, page.find("\n.SH ", begin + 1) - begin);
  const std::regex entry(R"(\n\.TP\n)");
  const auto entries = std::distance(std::sregex_iterator(section.begin(), section.end(), entry), {});
  EXPECT_EQ(static_cast<std::size_t>(entries), kCounterFacts.size());
}

TEST(ManPage, ExplainsEveryRule) {
  const std::string page = man_page();
  for (const char* rule : {"close-wait", "open-at-exit", "growth", "invisible", "outlived-creator", "unaccepted"}) {
    EXPECT_THAT(page, HasSubstr(std::string("\n.TP\n.B ") + rule + "\n"));
  }
}

}  // namespace
}  // namespace sockleak
