// Whatever a traced program's file holds, the symbolizer answers with fewer names, never with a crash or a hang.
#include <gtest/gtest.h>

#include <cstdint>
#include <random>

#include "symbolize/symbolizer.hpp"
#include "unit/symbolize/sysroot.hpp"

namespace sockleak::test {
namespace {

/// Asks for the program's real addresses and a few beside them; every address must give at least one frame.
void ask_everything(const std::string& path, const std::vector<std::uint64_t>& addresses) {
  ModuleStore modules;
  const ModuleId module = add_module(modules, path);
  const auto symbolizer = make_dwfl_symbolizer(modules);
  std::vector<std::uint64_t> all = addresses;
  all.insert(all.end(), {0, 1, 0x1000, 0x7fffffffffffffff, ~std::uint64_t{0}});
  const Stack stack = symbolizer->symbolize(mapped(module, all));
  EXPECT_GE(stack.frames.size(), all.size());
}

std::vector<std::uint64_t> all_addresses(const std::string& program) {
  std::vector<std::uint64_t> addresses;
  for (const Recorded& record : run_program(program)) {
    addresses.insert(addresses.end(), record.addresses.begin(), record.addresses.end());
  }
  return addresses;
}

class Malformed : public testing::TestWithParam<const char*> {};

TEST_P(Malformed, ChangedBytesNeverCrash) {
  if (!sysroot_has(GetParam())) GTEST_SKIP() << "its compiler is not on this machine";
  const std::string good = read_file(sysroot_path(GetParam()));
  const std::vector<std::uint64_t> addresses = all_addresses(GetParam());
  const TemporaryDirectory directory;
  for (std::uint32_t seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    std::string bad = good;
    // From one changed byte to one in a hundred; every third file keeps its headers, so that more of it is read.
    const std::size_t changes = 1 + random() % (1 + (bad.size() / 100) * (seed % 5) / 4);
    const std::size_t from = seed % 3 == 0 ? bad.size() / 2 : 0;
    for (std::size_t i = 0; i < changes; ++i) bad[from + random() % (bad.size() - from)] = static_cast<char>(random());
    SCOPED_TRACE("seed " + std::to_string(seed));
    ask_everything(directory.write("bad-" + std::to_string(seed), bad), addresses);
  }
}

TEST_P(Malformed, FilesCutAnywhereNeverCrash) {
  if (!sysroot_has(GetParam())) GTEST_SKIP() << "its compiler is not on this machine";
  const std::string good = read_file(sysroot_path(GetParam()));
  const std::vector<std::uint64_t> addresses = all_addresses(GetParam());
  const TemporaryDirectory directory;
  for (std::size_t i = 0; i < 25; ++i) {
    ask_everything(directory.write("cut-" + std::to_string(i), good.substr(0, good.size() * i / 25)), addresses);
  }
}

// plain is all debug information; crate would be mostly Rust's library.
INSTANTIATE_TEST_SUITE_P(Formats, Malformed,
                         testing::Values("nested", "nested-dwarf4", "nested-clang", "nested-lto", "nested.mini",
                                         "plain"));

TEST(MalformedFile, OfPureNoiseGivesModuleAndOffset) {
  const TemporaryDirectory directory;
  std::mt19937 random(1);
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{64}, std::size_t{65536}}) {
    std::string noise(size, '\0');
    for (char& c : noise) c = static_cast<char>(random());
    ask_everything(directory.write("noise", noise), {});
    if (size < 64) continue;
    noise.replace(0, 7,
                  std::string("\x7f"
                              "ELF\x02\x01\x01",
                              7));
    noise[16] = 3;  // ET_DYN
    noise[17] = 0;
    noise[18] = 62;  // EM_X86_64
    noise[19] = 0;
    ask_everything(directory.write("noise-elf", noise), {});
  }
}

TEST(MalformedFile, OfAnotherKindIsNotOpened) {
  const TemporaryDirectory directory;
  std::string object = read_file(sysroot_path("truth.o"));  // relocatable
  ask_everything(directory.write("object", object), {0x10});
  ask_everything(directory.write("gzip", std::string("\x1f\x8b\x08\x00", 4) + std::string(100, 'x')), {0x10});
  ask_everything(directory.write("archive", "!<arch>\n" + std::string(100, ' ')), {0x10});
  ask_everything("/dev/null", {0x10});
}

}  // namespace
}  // namespace sockleak::test
