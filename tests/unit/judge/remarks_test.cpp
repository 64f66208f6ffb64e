// What is worth a remark and no more: it neither proves a leak nor adds to what proves one.
#include <gtest/gtest.h>

#include <string>

#include "judge/judge.hpp"
#include "support/tracked_story.hpp"

namespace sockleak {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kConnectPath = 0x11;
constexpr std::uint64_t kAcceptPath = 0x22;
constexpr std::uint64_t kListenPath = 0x33;
constexpr std::uint64_t kClosePath = 0x44;

class RemarksTest : public ::testing::Test {
 protected:
  RemarksTest() {
    story.stack(kConnectPath, {0x1000})
        .stack(kAcceptPath, {0x2000})
        .stack(kListenPath, {0x3000})
        .stack(kClosePath, {0x4000});
    story.session_begins().creates(app, 2, kListenPath).listens(2);
  }
  [[nodiscard]] std::vector<Finding> verdicts(const JudgeOptions& options = {}) const {
    const test::TrackedStory told(story);
    return judge(told.tracker(), story.now(), options);
  }
  SocketFacts used_now(Waiter waiter) {
    SocketFacts facts;
    facts.known = true;
    facts.last_sent = facts.last_received = story.now();
    facts.waiter = waiter;
    return facts;
  }
  SocketFacts pinged() {
    SocketFacts facts = used_now(Waiter::kNobody);
    facts.uses.since = story.now();
    facts.uses.bursts = 9;
    facts.uses.longest_gap = 60s;
    return facts;
  }
  /// Clients that talk and go at once.
  void serve(std::uint64_t first, std::uint64_t count) {
    for (std::uint64_t cookie = first; cookie < first + count; ++cookie) {
      story.arrives(cookie, 2).accepts(app, cookie, 2, kAcceptPath).facts(cookie, used_now(Waiter::kEpoll)).after(50ms);
      story.peer_closes(cookie).closes(app, cookie, kClosePath);
    }
  }
  void silent(std::uint64_t first, std::uint64_t count) {
    for (std::uint64_t cookie = first; cookie < first + count; ++cookie) {
      story.arrives(cookie, 2)
          .accepts(app, cookie, 2, kAcceptPath)
          .facts(cookie, used_now(Waiter::kEpoll))
          .after(100ms);
    }
  }

  const test::Actor app = test::process(812, "orders");
  test::EventBuilder story;
};

TEST_F(RemarksTest, PeersThatAreSilentForFarLongerThanTheOthersWere) {
  silent(10, 3);
  serve(100, 10);
  story.after(30s).snapshot();
  const auto findings = verdicts();
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].verdict, Verdict::kSuspect);
  EXPECT_EQ(findings[0].leaked, 3U);
  EXPECT_LT(findings[0].confidence, 0.5);
  EXPECT_EQ(findings[0].evidence[0].rule, "silent");
}

TEST_F(RemarksTest, SilentPeersWithoutAnyThatEndedAreNone) {
  silent(10, 3);
  serve(100, 4);
  story.after(30s).snapshot();
  EXPECT_TRUE(verdicts().empty());
}

TEST_F(RemarksTest, WhatIsInUseAndOnlyGrowsIsOne) {
  for (std::uint64_t cookie = 10; cookie < 40; ++cookie) {
    story.opens(app, cookie, kConnectPath).facts(cookie, pinged()).after(1s);
  }
  story.snapshot();
  const auto findings = verdicts();
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].evidence[0].rule, "growth");
  EXPECT_NE(findings[0].evidence[0].text.find("all in use"), std::string::npos);
  EXPECT_LT(findings[0].confidence, 0.4);
}

TEST_F(RemarksTest, MoreWorkOfTheSameKindIsNone) {
  for (std::uint64_t cookie = 10; cookie < 40; ++cookie) {
    story.opens(app, cookie, kConnectPath).facts(cookie, pinged()).after(1s);
    if (cookie % 3 == 0) story.opens(app, cookie + 1000, kConnectPath);
  }
  for (std::uint64_t cookie = 12; cookie < 15; cookie += 3)
    story.closes(app, cookie + 1000, kClosePath);  // as old as the oldest
  story.after(1s).snapshot();
  for (const Finding& finding : verdicts()) EXPECT_EQ(finding.evidence[0].text.find("all in use"), std::string::npos);
}

/// At the end of a process nobody can be asked any more which of its threads were still there.
TEST_F(RemarksTest, AThreadThatEndedBeforeItsProcessHasLeftItsSocketBehind) {
  for (std::uint64_t cookie = 10; cookie < 30; ++cookie) {
    const test::Actor worker = test::thread(app, app.pid + static_cast<std::uint32_t>(cookie), "worker");
    story.opens(worker, cookie, kConnectPath).facts(cookie, used_now(Waiter::kNobody)).after(1s).thread_found(worker, false);
  }
  story.snapshot().after(1s).exits(app).snapshot();
  const auto findings = verdicts({.at_exit = true});
  ASSERT_FALSE(findings.empty());
  EXPECT_EQ(findings[0].verdict, Verdict::kLeak);
}

/// What tidy code closes in the last moments is judged once: as what was left, not as siblings that were closed in
/// time.
TEST_F(RemarksTest, WhatIsTidiedAtTheEndIsNoSiblingThatWasClosedInTime) {
  for (std::uint64_t cookie = 10; cookie < 30; ++cookie) {
    story.opens(app, cookie, kConnectPath).facts(cookie, used_now(Waiter::kNobody)).after(1s);
  }
  story.after(2s);
  for (std::uint64_t cookie = 10; cookie < 30; ++cookie) story.closes(app, cookie, kClosePath);
  story.after(10ms).exits(app).snapshot();
  const auto findings = verdicts({.at_exit = true});
  ASSERT_FALSE(findings.empty());
  EXPECT_EQ(findings[0].verdict, Verdict::kLeak);
  EXPECT_EQ(findings[0].evidence[0].rule, "abandoned");
  EXPECT_GE(findings[0].leaked, 18U);
}

}  // namespace
}  // namespace sockleak
