// What is made of unix sockets that stay open: programs keep some of them on purpose.
#include <gtest/gtest.h>

#include "judge/judge.hpp"
#include "judge/leftovers.hpp"
#include "support/tracked_story.hpp"

namespace sockleak {
namespace {

using namespace std::chrono_literals;
using test::EventBuilder;
using test::TrackedStory;

constexpr std::uint64_t kMakePath = 0x11;
constexpr std::uint64_t kClosePath = 0x22;

class UnixRulesTest : public ::testing::Test {
 protected:
  UnixRulesTest() { story.stack(kMakePath, {0x1000}).stack(kClosePath, {0x2000}).session_begins(); }

  [[nodiscard]] std::vector<Finding> verdicts() const {
    return judge(TrackedStory(story).tracker(), story.now(), {.at_exit = true});
  }
  /// `left` sockets of one site are there at the end, after `closed` others were closed.
  [[nodiscard]] Finding after_exit(std::uint64_t left, std::uint64_t closed) {
    std::uint64_t cookie = 100;
    for (std::uint64_t i = 0; i < closed; ++i, ++cookie) {
      story.creates(app, cookie, kMakePath, Protocol::kUnix).closes(app, cookie, kClosePath);
    }
    for (std::uint64_t i = 0; i < left; ++i, ++cookie) story.creates(app, cookie, kMakePath, Protocol::kUnix);
    story.exits(app).snapshot();
    const auto findings = verdicts();
    EXPECT_EQ(findings.size(), 1U);
    return findings.empty() ? Finding{} : findings.front();
  }

  const test::Actor app = test::process(812, "orders");
  const test::Actor child = test::process(900, "sh");
  EventBuilder story;
};

TEST_F(UnixRulesTest, OneThatIsLeftWhileSiblingsAreClosedIsALeak) {
  const Finding finding = after_exit(1, 5);
  EXPECT_EQ(finding.verdict, Verdict::kLeak);
  EXPECT_EQ(finding.evidence[0].rule, "open-at-exit");
}

TEST_F(UnixRulesTest, SeveralAreIfSiblingsWereClosed) {
  const Finding finding = after_exit(3, 5);
  EXPECT_EQ(finding.verdict, Verdict::kLeak);
  EXPECT_EQ(finding.leaked, 3U);
}

TEST_F(UnixRulesTest, AlwaysLeakingIsNotMilderThanSometimes) {
  const Finding finding = after_exit(20, 0);
  EXPECT_EQ(finding.verdict, Verdict::kLeak);
  EXPECT_EQ(finding.leaked, 20U);
}

TEST_F(UnixRulesTest, ASystemServicesConnectionIsNone) {
  for (const char* service : {"/dev/log", "/run/systemd/journal/dev-log", "/var/run/nscd/socket", "/run/dbus/system_bus_socket"}) {
    const std::uint64_t cookie = 100 + std::char_traits<char>::length(service);
    story.creates(app, cookie, kMakePath, Protocol::kUnix).named(cookie, {}, service);
  }
  story.creates(app, 999, kMakePath, Protocol::kUnix).closes(app, 999, kClosePath).exits(app).snapshot();
  EXPECT_TRUE(verdicts().empty());
}

TEST_F(UnixRulesTest, APairIsMadeToBeHandedOn) {
  story.pairs(app, 10, 11, kMakePath).after(1ms).forks(app, child).execs(child).after(1ms).exits(app).after(60s).snapshot();
  EXPECT_TRUE(verdicts().empty());
}

TEST_F(UnixRulesTest, WhatAnotherProgramCameByIsNoSureLeftover) {
  story.creates(app, 10, kMakePath, Protocol::kUnix).after(1ms).forks(app, child).execs(child).after(1ms).exits(app).snapshot();
  const TrackedStory told(story);
  EXPECT_TRUE(sure_leftovers(told.tracker(), {}).empty());
  const auto findings = verdicts();
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].verdict, Verdict::kInherited);
  EXPECT_FALSE(findings[0].counts);
}

}  // namespace
}  // namespace sockleak
