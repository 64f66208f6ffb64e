#include "runtime/go/go_command.hpp"

#include <gtest/gtest.h>

namespace sockleak {
namespace {

TEST(GoDebug, KeepsWhatIsSet) {
  EXPECT_EQ(go_debug(nullptr, 10), "GODEBUG=tracebackancestors=10");
  EXPECT_EQ(go_debug("", 5), "GODEBUG=tracebackancestors=5");
  EXPECT_EQ(go_debug("gctrace=1,madvdontneed=1", 10), "GODEBUG=gctrace=1,madvdontneed=1,tracebackancestors=10");
}

TEST(GoDebug, LeavesAChoiceAlone) {
  EXPECT_EQ(go_debug("tracebackancestors=0", 10), std::nullopt);
  EXPECT_EQ(go_debug("gctrace=1,tracebackancestors=3", 10), std::nullopt);
  EXPECT_EQ(go_debug("nottracebackancestors=3", 10), "GODEBUG=nottracebackancestors=3,tracebackancestors=10");
}

TEST(GoEnvironment, IsNotForProgramsOfOtherLanguages) {
  ModuleStore modules;
  EXPECT_TRUE(go_environment(modules.get(ModuleStore::kUnknown), 10).empty());
}

}  // namespace
}  // namespace sockleak
