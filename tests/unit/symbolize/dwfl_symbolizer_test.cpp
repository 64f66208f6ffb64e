// Real programs in many debug formats against what they print about themselves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "symbolize/symbolizer.hpp"
#include "unit/symbolize/sysroot.hpp"

namespace sockleak::test {
namespace {

using testing::Contains;
using testing::Each;
using testing::EndsWith;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

struct Variant {
  const char* program;
  const char* source;
  const char* debug_directories = nullptr;  // below the programs' directory
};
void PrintTo(const Variant& variant, std::ostream* out) {
  *out << variant.program;
}

std::string test_name(const testing::TestParamInfo<Variant>& info) {
  std::string name = info.param.program;
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

class WithDebugInformation : public testing::TestWithParam<Variant> {};

TEST_P(WithDebugInformation, EveryFrameIsWhereTheProgramSaysItIs) {
  const Variant& variant = GetParam();
  if (!sysroot_has(variant.program)) GTEST_SKIP() << "its compiler is not on this machine: " << variant.program;
  SymbolizerOptions options;
  if (variant.debug_directories != nullptr) options.debug_directories = sysroot_path(variant.debug_directories);
  ModuleStore modules;
  const ModuleId module = add_module(modules, sysroot_path(variant.program));
  const auto symbolizer = make_dwfl_symbolizer(modules, options);

  const std::vector<Recorded> records = run_program(variant.program);
  ASSERT_FALSE(records.empty());
  for (const Recorded& record : records) {
    const Stack stack = symbolizer->symbolize(mapped(module, record.addresses));
    EXPECT_FALSE(stack.truncated);
    ASSERT_GE(stack.frames.size(), record.truth.size());
    for (std::size_t i = 0; i < record.truth.size(); ++i) {
      const Truth& truth = record.truth[i];
      const Frame& frame = stack.frames[i];
      EXPECT_TRUE(matches(frame.function, truth.function)) << frame.function << " is not " << truth.function;
      EXPECT_EQ(frame.line, truth.line) << truth.function;
      EXPECT_EQ(base_name(frame.file), variant.source) << truth.function;
      EXPECT_TRUE(frame.file.starts_with('/')) << frame.file;
      EXPECT_EQ(frame.inlined, truth.inlined) << truth.function;
      EXPECT_EQ(frame.module, sysroot_path(variant.program));
      EXPECT_EQ(frame.build_id, modules.get(module).build_id);
      EXPECT_NE(frame.offset, 0u);
      EXPECT_NE(frame.column, 0u) << truth.function;
    }
    EXPECT_EQ(culprit_frame(stack), 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, WithDebugInformation,
                         testing::Values(Variant{"nested", "nested.cpp"}, Variant{"nested-dwarf4", "nested.cpp"},
                                         Variant{"nested-exec", "nested.cpp"}, Variant{"nested-o0", "nested.cpp"},
                                         Variant{"nested-split", "nested.cpp"},
                                         Variant{"nested-exported", "nested.cpp"}, Variant{"nested-lto", "nested.cpp"},
                                         Variant{"nested-static", "nested.cpp"}, Variant{"nested-clang", "nested.cpp"},
                                         Variant{"nested.link", "nested.cpp"},
                                         Variant{"nested.build-id", "nested.cpp", "debug-tree"},
                                         Variant{"plain", "plain.c"}, Variant{"crate-v0", "crate.rs"},
                                         Variant{"crate-legacy", "crate.rs"}),
                         test_name);

Stack first_stack(const std::string& program, const SymbolizerOptions& options = {}) {
  ModuleStore modules;
  const ModuleId module = add_module(modules, sysroot_path(program));
  return make_dwfl_symbolizer(modules, options)->symbolize(mapped(module, run_program(program).at(0).addresses));
}

/// The physical frames of the truth: what a symbol table can know.
std::vector<std::string> real_functions(const std::string& program) {
  std::vector<std::string> names;
  const std::vector<Recorded> records = run_program(program);
  for (const Truth& truth : records.at(0).truth) {
    if (!truth.inlined) names.push_back(truth.function);
  }
  return names;
}

TEST(WithoutDebugInformation, ACompressedSymbolTableNamesFunctionsButNoLines) {
  if (!sysroot_has("nested.mini")) GTEST_SKIP() << "xz is not on this machine";
  const Stack stack = first_stack("nested.mini");
  const std::vector<std::string> names = real_functions("nested");
  ASSERT_GE(stack.frames.size(), names.size());
  for (std::size_t i = 0; i < names.size(); ++i) EXPECT_EQ(stack.frames[i].function, names[i]);
  EXPECT_THAT(stack.frames, Each(Field(&Frame::line, 0u)));
  EXPECT_THAT(stack.frames, Each(Field(&Frame::file, "")));
}

TEST(WithoutDebugInformation, ExportedFunctionsKeepTheirNamesAndOthersGetNone) {
  const Stack stack = first_stack("nested-exported.none");
  ASSERT_GE(stack.frames.size(), 3u);
  EXPECT_EQ(stack.frames[0].function, "");  // in an unnamed namespace
  EXPECT_EQ(stack.frames[1].function, "db::start(db::Pool&)");
  EXPECT_EQ(stack.frames[2].function, "main");
}

TEST(WithoutDebugInformation, ModuleAndOffsetRemainWithoutAnySymbol) {
  const std::vector<std::uint64_t> addresses = run_program("nested.none").at(0).addresses;
  const Stack stack = first_stack("nested.none");
  ASSERT_THAT(stack.frames, SizeIs(addresses.size()));
  EXPECT_THAT(stack.frames, Each(Field(&Frame::function, "")));
  EXPECT_THAT(stack.frames, Each(Field(&Frame::module, EndsWith("/nested.none"))));
  for (std::size_t i = 0; i < addresses.size(); ++i) EXPECT_EQ(stack.frames[i].offset, addresses[i]);
  EXPECT_EQ(stack.frames[0].build_id, first_stack("nested").frames[0].build_id);
}

TEST(SeparateDebugFiles, AreNotLookedForOutsideTheGivenDirectories) {
  EXPECT_EQ(first_stack("nested.build-id").frames[0].function, "");
}

TEST(SeparateDebugFiles, OfAnotherProgramAreRefused) {
  const TemporaryDirectory directory;
  // The same names, but the debug file belongs to a program with other code.
  (void)directory.write("nested.link", read_file(sysroot_path("nested.link")));
  (void)directory.write("nested.link.debug", read_file(sysroot_path("plain")));
  ModuleStore modules;
  const ModuleId module = add_module(modules, directory.path() + "/nested.link");
  const Stack stack =
      make_dwfl_symbolizer(modules)->symbolize(mapped(module, run_program("nested.link").at(0).addresses));
  EXPECT_EQ(stack.frames[0].function, "");
}

TEST(SeparateDebugFiles, AreNotGuessedByNameAlone) {
  const TemporaryDirectory directory;
  // Neither build-id nor debug link: nothing proves that NAME.debug belongs to NAME.
  const std::string bare = directory.path() + "/bare";
  (void)output_of("objcopy --strip-all --remove-section .note.gnu.build-id '" + sysroot_path("nested") + "' '" + bare +
                  "'");
  (void)directory.write("bare.debug", read_file(sysroot_path("nested")));
  ModuleStore modules;
  const ModuleId module = add_module(modules, bare);
  const Stack stack = make_dwfl_symbolizer(modules)->symbolize(mapped(module, run_program("nested").at(0).addresses));
  EXPECT_EQ(stack.frames[0].function, "");
  EXPECT_EQ(stack.frames[0].gap, NameGap::kNoSymbol);
}

TEST(Symbolizer, KeepsAddressesOutsideEveryModule) {
  const ModuleStore modules;
  const Stack stack = make_dwfl_symbolizer(modules)->symbolize(mapped(ModuleStore::kUnknown, {0x7f0012345678, 0}));
  ASSERT_THAT(stack.frames, SizeIs(2));
  EXPECT_EQ(stack.frames[0].offset, 0x7f0012345678u);
  EXPECT_EQ(stack.frames[0].module, "");
  EXPECT_EQ(stack.frames[0].function, "");
  EXPECT_EQ(stack.frames[0].gap, NameGap::kNoFile);
}

TEST(Symbolizer, KeepsTheNameOfAModuleThatCouldNotBeOpened) {
  ModuleStore modules;
  const ModuleId module = modules.add("/gone/program (deleted)", UniqueFd());
  const Stack stack = make_dwfl_symbolizer(modules)->symbolize(mapped(module, {0x1234}));
  ASSERT_THAT(stack.frames, SizeIs(1));
  EXPECT_EQ(stack.frames[0].module, "/gone/program (deleted)");
  EXPECT_EQ(stack.frames[0].offset, 0x1234u);
  EXPECT_EQ(stack.frames[0].gap, NameGap::kUnreadable);
}

TEST(Symbolizer, SaysWhyAStackIsShort) {
  const ModuleStore modules;
  const auto symbolizer = make_dwfl_symbolizer(modules);
  const Stack whole = symbolizer->symbolize(mapped(ModuleStore::kUnknown, {1}, WalkEnd::kComplete));
  EXPECT_FALSE(whole.truncated);
  EXPECT_EQ(whole.why, "");
  for (const WalkEnd end : {WalkEnd::kMissingRule, WalkEnd::kDepth, WalkEnd::kReadFailed, WalkEnd::kInsane}) {
    const Stack cut = symbolizer->symbolize(mapped(ModuleStore::kUnknown, {1}, end));
    EXPECT_TRUE(cut.truncated);
    EXPECT_EQ(cut.why, why_short(end));
  }
}

TEST(Symbolizer, AnswersTheSameFromTheCache) {
  ModuleStore modules;
  const ModuleId module = add_module(modules, sysroot_path("nested"));
  const auto symbolizer = make_dwfl_symbolizer(modules);
  const MappedStack stack = mapped(module, run_program("nested").at(1).addresses);
  EXPECT_EQ(symbolizer->symbolize(stack), symbolizer->symbolize(stack));
}

TEST(Symbolizer, NeedsNoPathOnceTheModuleIsOpen) {
  const TemporaryDirectory directory;
  const std::string path = directory.write("program", read_file(sysroot_path("nested")));
  ModuleStore modules;
  const ModuleId module = add_module(modules, path);
  ASSERT_EQ(::unlink(path.c_str()), 0);
  const Stack stack = make_dwfl_symbolizer(modules)->symbolize(mapped(module, run_program("nested").at(0).addresses));
  EXPECT_THAT(stack.frames, Contains(Field(&Frame::function, "db::start(db::Pool&)")));
}

TEST(Symbolizer, NamesNothingInAFileThatWasRewrittenMeanwhile) {
  const TemporaryDirectory directory;
  const std::string bytes = read_file(sysroot_path("nested"));
  const std::string path = directory.write("program", bytes);
  ModuleStore modules;
  const ModuleId module = add_module(modules, path);
  const auto symbolizer = make_dwfl_symbolizer(modules);
  const std::vector<std::uint64_t> addresses = run_program("nested").at(0).addresses;
  EXPECT_NE(symbolizer->symbolize(mapped(module, {addresses.at(0)})).frames[0].function, "");
  EXPECT_EQ(symbolizer->symbolize(mapped(module, {addresses.at(0)})).frames[0].gap, NameGap::kNone);
  (void)directory.write("program", bytes.substr(0, 4096));  // libelf still maps the pages that are gone
  EXPECT_EQ(symbolizer->symbolize(mapped(module, {addresses.at(1)})).frames[0].function, "");
  EXPECT_EQ(symbolizer->symbolize(mapped(module, {addresses.at(1)})).frames[0].gap, NameGap::kChanged);
}

}  // namespace
}  // namespace sockleak::test
