#include "app/signals.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

namespace sockleak {
namespace {

TEST(Signals, AreRequestsToEnd) {
  auto signals = Signals::take_over();
  ASSERT_TRUE(signals);
  EXPECT_FALSE(signals->next());
  ASSERT_EQ(::kill(::getpid(), SIGTERM), 0);
  const auto request = signals->next();
  ASSERT_TRUE(request);
  EXPECT_EQ(request->number, SIGTERM);
  EXPECT_TRUE(request->ours_alone);
}

TEST(SignalsDeathTest, AreObeyedAtOnceTheSecondTime) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        auto signals = Signals::take_over();
        ::kill(::getpid(), SIGINT);
        if (!signals || !signals->next()) ::_exit(1);
        ::kill(::getpid(), SIGINT);
        ::_exit(2);
      },
      testing::ExitedWithCode(130), "");
}

TEST(Signals, TurnABrokenPipeIntoAnError) {
  const auto signals = Signals::take_over();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  EXPECT_EQ(::write(ends[1], "x", 1), -1);
  ::close(ends[1]);
}

}  // namespace
}  // namespace sockleak
