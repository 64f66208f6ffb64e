// The table of offsets against the debug information of programs, and programs without any.
#include "runtime/go/go_runtime.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "stack/go_table.hpp"

namespace sockleak {
namespace {

#ifndef SOCKLEAK_GO_PROGRAMS
#define SOCKLEAK_GO_PROGRAMS ""
#endif

class GoRuntime : public testing::Test {
 protected:
  void SetUp() override {
    if (std::string_view(SOCKLEAK_GO_PROGRAMS).empty()) GTEST_SKIP() << "there is no Go compiler";
  }
  const Module& program(const std::string& name) {
    const std::string path = std::string(SOCKLEAK_GO_PROGRAMS) + "/" + name;
    return modules_.get(modules_.add(path, UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC))));
  }

  ModuleStore modules_;
};

void expect_same(const sl_go& a, const sl_go& b) {
  EXPECT_EQ(a.g_m, b.g_m);
  EXPECT_EQ(a.m_curg, b.m_curg);
  EXPECT_EQ(a.goid, b.goid);
  EXPECT_EQ(a.gopc, b.gopc);
  EXPECT_EQ(a.has_parent, b.has_parent);
}

TEST_F(GoRuntime, TheTableSaysWhatDebugInformationSays) {
  const Module& module = program("go_error_path");
  auto table = GoTable::open(module);
  ASSERT_TRUE(table);
  const auto told = go_offsets(table->minor_version());
  const auto read = go_offsets_from_debug(module);
  ASSERT_TRUE(read);
  ASSERT_TRUE(told) << "go1." << table->minor_version() << " is missing in the table";
  expect_same(*told, *read);
}

TEST_F(GoRuntime, IsFoundInEveryBuild) {
  const auto whole = find_go(program("go_error_path"));
  ASSERT_TRUE(whole);
  EXPECT_NE(whole->goid, 0);
  EXPECT_EQ(whole->g_from_fs, -8);
  for (const char* build : {"go_error_path_stripped", "go_error_path_pie", "go_error_path_external"}) {
    SCOPED_TRACE(build);
    const auto go = find_go(program(build));
    ASSERT_TRUE(go);
    expect_same(*whole, *go);
    EXPECT_EQ(go->g_from_fs, -8);
  }
  EXPECT_FALSE(go_offsets_from_debug(program("go_error_path_stripped")));
}

TEST(GoOffsets, AreThoseOfKnownReleasesOnly) {
  EXPECT_TRUE(go_offsets(19));
  EXPECT_FALSE(go_offsets(0));
  EXPECT_FALSE(go_offsets(1000));
  ASSERT_TRUE(go_offsets(24));
  EXPECT_EQ(go_offsets(19)->has_parent, 0);
  EXPECT_EQ(go_offsets(24)->has_parent, 1);
}

TEST(FindGo, IsNotInThisProgram) {
  ModuleStore modules;
  const ModuleId self = modules.add("self", UniqueFd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)));
  EXPECT_FALSE(find_go(modules.get(self)));
}

}  // namespace
}  // namespace sockleak
