// Every code address of the programs against binutils' addr2line, another implementation of the same lookup.
#include <gtest/gtest.h>

#include <sstream>

#include "symbolize/symbolizer.hpp"
#include "unit/symbolize/sysroot.hpp"

namespace sockleak::test {
namespace {

struct Lines {
  std::vector<std::string> functions;
  std::vector<std::string> places;  // "file:line"
};

/// addr2line -a -f -i prints the address, then two lines per frame.
std::vector<Lines> ask_addr2line(const std::string& path, const std::vector<std::uint64_t>& addresses) {
  const TemporaryDirectory directory;
  std::ostringstream list;
  for (const std::uint64_t address : addresses) list << std::hex << address << '\n';
  const std::string input = directory.write("addresses", list.str());
  std::istringstream lines(output_of("addr2line -a -f -i -e '" + path + "' < '" + input + "'"));
  std::vector<Lines> answers;
  for (std::string line, place; std::getline(lines, line);) {
    if (line.starts_with("0x")) {
      answers.emplace_back();
      continue;
    }
    if (!std::getline(lines, place)) break;
    place = place.substr(0, place.find(" (discriminator"));
    answers.back().functions.push_back(line);
    answers.back().places.push_back(base_name(place));
  }
  return answers;
}

/// Start and end of the first symbol with this name.
std::pair<std::uint64_t, std::uint64_t> range_of(const std::string& path, const std::string& symbol) {
  std::istringstream line(output_of("nm -S '" + path + "' | grep ' " + symbol + "$'"));
  std::uint64_t start = 0, size = 0;
  line >> std::hex >> start >> size;
  return {start, start + size};
}

class AgainstAddr2line : public testing::TestWithParam<const char*> {};

TEST_P(AgainstAddr2line, TheSameFramesAtEveryAddress) {
  const std::string path = sysroot_path(GetParam());
  if (!sysroot_has(GetParam())) GTEST_SKIP() << "its compiler is not on this machine";
  if (output_of("addr2line --version").empty()) GTEST_SKIP() << "addr2line is not on this machine";
  std::vector<std::uint64_t> addresses;
  for (const char* symbol :
       {"main", "_ZN2db5startERNS_4PoolE", "serve", "open_session", "_ZN2db7connectIlEET_RKNS_3UrlES1_"}) {
    const auto [start, end] = range_of(path, symbol);
    for (std::uint64_t address = start; address < end; ++address) addresses.push_back(address);
  }
  ASSERT_GT(addresses.size(), 50u);
  const std::vector<Lines> expected = ask_addr2line(path, addresses);
  ASSERT_EQ(expected.size(), addresses.size());

  ModuleStore modules;
  const ModuleId module = add_module(modules, path);
  const auto symbolizer = make_dwfl_symbolizer(modules);
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    // The symbolizer takes return addresses.
    const Stack stack = symbolizer->symbolize(mapped(module, {addresses[i] + 1}));
    std::vector<std::string> places;
    for (const Frame& frame : stack.frames) places.push_back(base_name(frame.file) + ":" + std::to_string(frame.line));
    std::vector<std::string> other = expected[i].places;
    // addr2line shows line 0 as '?'; we take the nearest numbered line before it.
    if (!other.empty() && !places.empty() && other[0].ends_with(":?")) other[0] = places[0];
    EXPECT_EQ(places, other) << std::hex << addresses[i];
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, AgainstAddr2line,
                         testing::Values("nested", "nested-dwarf4", "nested-exec", "nested-static", "nested-clang",
                                         "plain"));

}  // namespace
}  // namespace sockleak::test
