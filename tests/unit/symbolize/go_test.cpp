// Go's programs against what the Go runtime itself says of their addresses, in the builds that leave less and less in
// the file; and tables full of garbage.
#include <gtest/gtest.h>

#include <elf.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <sstream>

#include "symbolize/symbolizer.hpp"
#include "unit/symbolize/sysroot.hpp"

namespace sockleak::test {
namespace {

#ifndef SOCKLEAK_GO_PROGRAMS
#define SOCKLEAK_GO_PROGRAMS ""
#endif

std::string go_program(const std::string& name) {
  return std::string(SOCKLEAK_GO_PROGRAMS) + "/" + name;
}

std::string spelled(const Frame& frame) {
  return frame.function + "|" + frame.file + ":" + std::to_string(frame.line);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

class GoProgram : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (std::string_view(SOCKLEAK_GO_PROGRAMS).empty()) GTEST_SKIP() << "there is no Go compiler";
    path_ = go_program(GetParam());
    module_ = add_module(modules_, path_);
    symbolizer_ = make_dwfl_symbolizer(modules_);
  }

  /// The symbolizer takes return addresses.
  std::vector<Frame> frames_at(std::uint64_t address) {
    return symbolizer_->symbolize(mapped(module_, {address + 1})).frames;
  }

  const Module::Segment& code() const {
    const auto& segments = modules_.get(module_).segments;
    return *std::ranges::find_if(segments, [](const Module::Segment& segment) { return segment.executable; });
  }

  std::string path_;
  ModuleStore modules_;
  ModuleId module_;
  std::unique_ptr<Symbolizer> symbolizer_;
};

TEST_P(GoProgram, HasTheFunctionsAndLinesThatTheGoRuntimeNames) {
  const TemporaryDirectory directory;
  std::ostringstream offsets;
  std::vector<std::uint64_t> addresses;
  for (std::uint64_t at = 0; at < code().file_size; at += 83) {
    addresses.push_back(code().address + at);
    offsets << std::hex << code().offset + at << '\n';
  }
  const std::string input = directory.write("offsets", offsets.str());
  auto lines = lines_of(output_of("'" + path_ + "' < '" + input + "'"));
  ASSERT_EQ(lines.size(), addresses.size() + 1);
  lines.erase(lines.begin());
  std::size_t named = 0, differ = 0;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    const Frame frame = frames_at(addresses[i]).front();
    // The runtime names functions of C, which it knows nothing of, neither; its "?" are lines that no source has.
    if (lines[i] == "-" || lines[i].find("|?:") != std::string::npos) continue;
    // The last byte before a function: the runtime takes the address for the function's first.
    if (frame.line == 0 && spelled(frames_at(addresses[i] + 1).front()) == lines[i]) continue;
    ++named;
    EXPECT_EQ(frame.kind, FrameKind::kGo);
    if (spelled(frame) != lines[i] && ++differ < 10) {
      ADD_FAILURE() << std::hex << addresses[i] << ": " << spelled(frame) << " is " << lines[i];
    }
  }
  EXPECT_EQ(differ, 0u);
  EXPECT_GT(named, 5'000u);
}

TEST_P(GoProgram, UnfoldsInlinedCalls) {
  const auto lines = lines_of(output_of("'" + path_ + "' < /dev/null"));
  ASSERT_EQ(lines.size(), 1u);
  std::size_t length = 0, found = 0;
  const std::uint64_t outer = code().address + std::stoull(lines[0], &length, 16) - code().offset;
  const std::string expected = lines[0].substr(length + 1);
  for (std::uint64_t address = outer; frames_at(address).back().function == "main.outer"; ++address) {
    const auto frames = frames_at(address);
    if (frames.size() != 3) continue;
    if (spelled(frames[0]) + " " + spelled(frames[1]) + " " + spelled(frames[2]) != expected) continue;
    EXPECT_TRUE(frames[0].inlined && frames[1].inlined && !frames[2].inlined);
    ++found;
  }
  EXPECT_GT(found, 0u) << lines[0];
}

TEST_P(GoProgram, IsNotTrustedWhenItsTablesAreGarbage) {
  const std::string good = read_file(path_);
  const TemporaryDirectory directory;
  // The header of the tables: offsets and counts that everything else hangs on.
  const std::size_t header = good.find(std::string("\xff\xff\xff\0\0\1\x08", 7)) - 1;
  ASSERT_LT(header, good.size());
  for (std::uint32_t seed = 0; seed < 24; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    std::string bad = good;
    const std::size_t from = seed % 2 == 0 ? header + 8 : header, span = seed % 2 == 0 ? 64 : 400'000;
    const std::size_t changes = seed % 2 == 0 ? 1 + seed / 8 : 20'000;
    for (std::size_t i = 0; i < changes; ++i) {
      bad[std::min(from + random() % span, bad.size() - 1)] = static_cast<char>(random());
    }
    if (seed % 7 == 0) bad.resize(header + random() % (bad.size() - header));
    ModuleStore modules;
    const ModuleId module = add_module(modules, directory.write("bad", bad));
    const auto symbolizer = make_dwfl_symbolizer(modules);
    for (std::uint64_t at = 0; at < code().file_size; at += 4099) {
      EXPECT_FALSE(symbolizer->symbolize(mapped(module, {code().address + at})).frames.empty());
    }
    std::filesystem::remove(directory.path() + "/bad");
  }
}

INSTANTIATE_TEST_SUITE_P(Builds, GoProgram,
                         testing::Values("go_names", "go_names_stripped", "go_names_pie", "go_names_external"),
                         [](const auto& parameter) { return std::string(parameter.param); });

}  // namespace
}  // namespace sockleak::test
