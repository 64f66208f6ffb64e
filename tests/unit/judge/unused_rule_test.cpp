// Sockets that were there before the session and that nobody uses in it.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "judge/judge.hpp"
#include "support/tracked_story.hpp"

namespace sockleak {
namespace {

using namespace std::chrono_literals;

class UnusedRule : public ::testing::Test {
 protected:
  /// One socket per entry, with ascending descriptors; each was last used so many seconds before the session's end.
  void held_since(const std::vector<int>& used_before) {
    std::uint64_t cookie = 100;
    for (const int before : used_before) {
      SocketFacts facts;
      facts.known = true;
      facts.last_sent = KernelTime{story.now().ns - static_cast<std::uint64_t>(before) * 1'000'000'000};
      story.held_before(app, cookie).facts(cookie, facts);
      ++cookie;
    }
    story.snapshot().after(30s).snapshot();
  }
  [[nodiscard]] std::vector<Finding> verdicts() const {
    const test::TrackedStory told(story);
    return judge(told.tracker(), story.now(), {});
  }

  const test::Actor app = test::process(812, "orders");
  test::EventBuilder story;
};

TEST_F(UnusedRule, WhatWasUsedOneAfterAnotherIsSuspected) {
  held_since({20, 18, 15, 11, 9, 4});
  const auto findings = verdicts();
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].verdict, Verdict::kSuspect);
  EXPECT_LT(findings[0].confidence, 0.5);
  EXPECT_EQ(findings[0].leaked, 6U);
  ASSERT_EQ(findings[0].evidence.size(), 1U);
  EXPECT_EQ(findings[0].evidence[0].rule, "unused");
  EXPECT_NE(findings[0].evidence[0].text.find("before the next one was"), std::string::npos)
      << findings[0].evidence[0].text;
}

TEST_F(UnusedRule, APoolThatTookOldOnesAgainIsNot) {
  held_since({4, 9, 11, 15, 18, 20});
  EXPECT_TRUE(verdicts().empty());
}

TEST_F(UnusedRule, APoolThatTakesTurnsIsNot) {
  held_since({5, 4, 3, 2, 9, 8, 7, 6});
  EXPECT_TRUE(verdicts().empty());
}

TEST_F(UnusedRule, WhatWasUsedAllAtOnceIsNot) {
  held_since({5, 5, 5, 5, 5, 5});
  EXPECT_TRUE(verdicts().empty());
}

TEST_F(UnusedRule, WithoutTimesThereIsNoOrder) {
  for (std::uint64_t cookie = 100; cookie < 106; ++cookie) story.held_before(app, cookie);
  story.snapshot().after(30s).snapshot();
  const auto findings = verdicts();
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].verdict, Verdict::kSuspect);
  EXPECT_NE(findings[0].evidence[0].text.find("a pool at rest looks the same"), std::string::npos);
}

TEST_F(UnusedRule, FewAreNotWorthARemark) {
  held_since({20, 18, 15, 11});
  EXPECT_TRUE(verdicts().empty());
}

}  // namespace
}  // namespace sockleak
