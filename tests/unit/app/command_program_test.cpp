#include "app/command_program.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace sockleak {
namespace {

TEST(CommandProgram, IsNoneOfThese) {
  const std::filesystem::path script = std::filesystem::path(testing::TempDir()) / "command_program_test.sh";
  std::ofstream(script) << "#!/bin/sh\n";
  std::filesystem::permissions(script, std::filesystem::perms::owner_all);
  ModuleStore modules;
  const std::size_t before = modules.size();
  EXPECT_FALSE(command_program({}, modules));
  EXPECT_FALSE(command_program({"/no/such/program"}, modules));
  EXPECT_FALSE(command_program({script.string()}, modules));
  EXPECT_EQ(modules.size(), before);
  std::filesystem::remove(script);
}

TEST(CommandProgram, IsTheFileThatWillBeMapped) {
  ModuleStore modules;
  const auto program = command_program({"sh", "-c", "true"}, modules);
  ASSERT_TRUE(program);
  EXPECT_FALSE(modules.get(*program).segments.empty());
  EXPECT_EQ(command_program({"sh"}, modules), program);
}

}  // namespace
}  // namespace sockleak
