// Stories and verdicts.
#include "judge/judge.hpp"

#include <gtest/gtest.h>

#include "support/tracked_story.hpp"

namespace sockleak {
namespace {

using namespace std::chrono_literals;
using test::EventBuilder;
using test::TrackedStory;

constexpr std::uint64_t kConnectPath = 0x11;
constexpr std::uint64_t kAcceptPath = 0x22;
constexpr std::uint64_t kListenPath = 0x33;
constexpr std::uint64_t kClosePath = 0x44;
constexpr std::uint64_t kOtherClosePath = 0x55;

/// What a look found, as far as the test says.
template <typename Set>
SocketFacts facts(Set set) {
  SocketFacts facts;
  set(facts);
  return facts;
}

class JudgeTest : public ::testing::Test {
 protected:
  JudgeTest() {
    story.stack(kConnectPath, {0x1000}).stack(kAcceptPath, {0x2000}).stack(kListenPath, {0x3000});
    story.stack(kClosePath, {0x4000}).stack(kOtherClosePath, {0x5000}).session_begins();
  }

  [[nodiscard]] std::vector<Finding> verdicts(const JudgeOptions& options = {}) const {
    const TrackedStory told(story);
    return judge(told.tracker(), story.now(), options);
  }
  [[nodiscard]] Finding only_verdict(const JudgeOptions& options = {}) const {
    const auto findings = verdicts(options);
    EXPECT_EQ(findings.size(), 1U);
    return findings.empty() ? Finding{} : findings.front();
  }

  void accept_and_fin(std::uint64_t first, std::uint64_t count) {
    for (std::uint64_t cookie = first; cookie < first + count; ++cookie) {
      story.arrives(cookie, 2).accepts(app, cookie, 2, kAcceptPath).peer_closes(cookie);
    }
  }
  void open_and_fin(std::uint64_t first, std::uint64_t count) {
    for (std::uint64_t cookie = first; cookie < first + count; ++cookie) {
      story.opens(app, cookie, kConnectPath).peer_closes(cookie);
    }
  }
  /// `windows` windows of 5 s with so many opened at the start of each.
  void grow(std::uint64_t first, int windows, std::uint64_t per_window) {
    for (int window = 0; window < windows; ++window) {
      for (std::uint64_t i = 0; i < per_window; ++i) story.opens(app, first++, kConnectPath);
      story.after(5s);
    }
  }

  const test::Actor app = test::process(812, "orders");
  EventBuilder story;
};

TEST_F(JudgeTest, NothingIsSaidOfAHealthyProgram) {
  for (std::uint64_t cookie = 1; cookie < 50; ++cookie) {
    story.opens(app, cookie, kConnectPath).after(20ms).peer_closes(cookie).closes(app, cookie, kClosePath);
  }
  story.after(60s).snapshot();
  EXPECT_TRUE(verdicts({.at_exit = true}).empty());
}

TEST_F(JudgeTest, WhatIdlesInAPoolAtTheEndIsNoLeak) {
  for (std::uint64_t cookie = 1; cookie <= 5; ++cookie) story.opens(app, cookie, kConnectPath);
  story.exits(app).snapshot();
  const TrackedStory told(story);
  const JudgeOptions options{.at_exit = true};
  JudgeNames names;
  names.is_pooled = [](const SocketRecord& socket) { return socket.id.value > 3; };
  const auto some = judge(told.tracker(), story.now(), options, names);
  ASSERT_EQ(some.size(), 1U);
  EXPECT_EQ(some[0].leaked, 3U);
  EXPECT_EQ(some[0].sockets.size(), 3U);
  names.is_pooled = [](const SocketRecord&) { return true; };
  EXPECT_TRUE(judge(told.tracker(), story.now(), options, names).empty());
}

TEST_F(JudgeTest, AServerThatNeverAnswersTheFinLeaks) {
  story.creates(app, 2, kListenPath).listens(2);
  accept_and_fin(10, 35);
  story.after(48s).snapshot();
  const Finding finding = only_verdict();
  EXPECT_EQ(finding.verdict, Verdict::kLeak);
  EXPECT_DOUBLE_EQ(finding.confidence, 0.95);
  EXPECT_EQ(finding.leaked, 35U);
  EXPECT_EQ(finding.created, 35U);
  ASSERT_EQ(finding.evidence.size(), 1U);
  EXPECT_EQ(finding.evidence[0].rule, "close-wait");
  EXPECT_EQ(finding.evidence[0].text, "35 sockets >= 10 s, oldest 48 s");
  ASSERT_EQ(finding.sockets.size(), 35U);
  EXPECT_EQ(finding.sockets.front().id, SocketId{10});
  EXPECT_NEAR(finding.leaked_per_minute, 35 / 0.8, 0.001);
}

TEST_F(JudgeTest, OneSocketIsWrittenInTheSingular) {
  accept_and_fin(10, 1);
  story.after(48s).snapshot();
  EXPECT_EQ(only_verdict().evidence[0].text, "1 socket >= 10 s, oldest 48 s");
}

TEST_F(JudgeTest, AFreshFinIsNoLeakYet) {
  accept_and_fin(10, 35);
  story.after(9s).snapshot();
  EXPECT_TRUE(verdicts().empty());
  EXPECT_EQ(only_verdict({.older = 9s}).leaked, 35U);
}

TEST_F(JudgeTest, TheDutyToCloseBeginsWithTheAccept) {
  story.arrives(10, 2).peer_closes(10).after(60s).accepts(app, 10, 2, kAcceptPath).after(1s).snapshot();
  EXPECT_TRUE(verdicts().empty());
}

TEST_F(JudgeTest, WithoutASnapshotNothingIsAccused) {
  accept_and_fin(10, 35);
  story.after(48s);
  EXPECT_TRUE(verdicts().empty());
  story.snapshot(false);
  EXPECT_TRUE(verdicts().empty());
}

TEST_F(JudgeTest, ASocketWhoseCloseWasLostIsNotAccused) {
  accept_and_fin(10, 3);
  story.vanishes(11).after(48s).snapshot();
  const Finding finding = only_verdict();
  EXPECT_EQ(finding.leaked, 2U);
  for (const SocketRecord& socket : finding.sockets) EXPECT_NE(socket.id, SocketId{11});
}

TEST_F(JudgeTest, ConnectionsInTheQueueAreNobodysLeak) {
  story.creates(app, 2, kListenPath).listens(2).arrives(10, 2).peer_closes(10).after(48s).snapshot();
  const Finding finding = only_verdict({.growth_windows = 1});
  EXPECT_EQ(finding.verdict, Verdict::kOwnerless);
  EXPECT_FALSE(finding.counts);
}

TEST_F(JudgeTest, ListenersAreNeverAccusedWhileTheyLive) {
  for (std::uint64_t cookie = 1; cookie <= 40; ++cookie) {
    story.creates(app, cookie, kListenPath).listens(cookie).after(1s);
  }
  story.snapshot();
  EXPECT_TRUE(verdicts().empty());
}

TEST_F(JudgeTest, OneClientConnectionInCloseWaitMayBeAPoolsOwn) {
  open_and_fin(10, 1);
  story.after(15s).snapshot();
  const Finding finding = only_verdict();
  EXPECT_EQ(finding.verdict, Verdict::kSuspect);
  EXPECT_LT(finding.confidence, 0.5);
}

TEST_F(JudgeTest, APoolWhoseServerHungUpIsARemark) {
  open_and_fin(10, 30);
  story.after(60s).snapshot();
  EXPECT_EQ(only_verdict().verdict, Verdict::kSuspect);
  EXPECT_LT(only_verdict().confidence, 0.5);
}

TEST_F(JudgeTest, AClientThatHasReadTheEndKnowsThatItMustClose) {
  open_and_fin(10, 3);
  for (std::uint64_t cookie = 10; cookie < 13; ++cookie) story.facts(cookie, facts([&](SocketFacts& f) { f.known = true; f.end_read = true; }));
  story.after(15s).snapshot();
  EXPECT_EQ(only_verdict().verdict, Verdict::kLeak);
  EXPECT_EQ(only_verdict().evidence[0].rule, "close-wait");
  EXPECT_EQ(only_verdict().evidence[0].text, "3 sockets >= 10 s, oldest 15 s, all read to their end");
}

TEST_F(JudgeTest, WhenSiblingsAnswerAtOnceAHungUpConnectionIsALeak) {
  for (std::uint64_t cookie = 100; cookie < 120; ++cookie) {
    story.opens(app, cookie, kConnectPath).after(1ms).peer_closes(cookie).after(1ms).closes(app, cookie, kClosePath);
  }
  open_and_fin(10, 3);
  story.after(15s).snapshot();
  EXPECT_EQ(only_verdict().verdict, Verdict::kLeak);
}

TEST_F(JudgeTest, ConnectionsFromBeforeHaveTheirRealAge) {
  story.held_before(app, 10, TcpState::kCloseWait).held_before(app, 11, TcpState::kCloseWait);
  for (const std::uint64_t cookie : {10, 11}) {
    story.facts(cookie, facts([&](SocketFacts& f) { f.known = true; f.last_segment = KernelTime{EventBuilder::kStart - 60'000'000'000}; f.end_read = true; }));
  }
  story.snapshot().after(1s).snapshot();
  const Finding finding = only_verdict();
  EXPECT_EQ(finding.site.origin, Origin::kBeforeAttach);
  EXPECT_EQ(finding.verdict, Verdict::kLeak);
  EXPECT_EQ(finding.evidence[0].text, "2 sockets >= 10 s, oldest 1 min 1 s, all read to their end");
  EXPECT_DOUBLE_EQ(finding.leaked_per_minute, 0) << "nothing was born in the session";
}

TEST_F(JudgeTest, WhatAProgramLeavesOpenAtItsEndIsALeak) {
  for (std::uint64_t cookie = 10; cookie < 20; ++cookie) story.opens(app, cookie, kConnectPath).after(1ms);
  for (std::uint64_t cookie = 10; cookie < 15; ++cookie) story.closes(app, cookie, kClosePath);
  story.after(60s).exits(app);
  EXPECT_TRUE(verdicts().empty());  // only `check` judges the end
  const Finding finding = only_verdict({.at_exit = true});
  EXPECT_EQ(finding.verdict, Verdict::kLeak);
  EXPECT_GE(finding.confidence, 0.9);
  EXPECT_EQ(finding.evidence[0].rule, "open-at-exit");
  EXPECT_EQ(finding.evidence[0].text, "5 sockets still open when the process ended, 5 siblings were closed");
  EXPECT_EQ(finding.created, 10U);
  EXPECT_EQ(finding.closed, 5U);
  EXPECT_EQ(finding.leaked, 5U);
  ASSERT_EQ(finding.closed_at.size(), 1U);  // the exit is no sibling's close
  EXPECT_EQ(finding.closed_at[0].first.how, CloseHow::kCall);
  EXPECT_EQ(finding.closed_at[0].second, 5U);
  EXPECT_EQ(finding.sockets.front().id, SocketId{15});
}

TEST_F(JudgeTest, OneConnectionThatLastsAsLongAsItsProgramIsARemark) {
  story.opens(app, 10, kConnectPath).exits(app);
  EXPECT_LT(only_verdict({.at_exit = true}).confidence, 0.5);
  EXPECT_EQ(only_verdict({.at_exit = true}).evidence[0].text,
            "1 socket still open when the process ended, none was ever closed");
}

TEST_F(JudgeTest, AListenerLeftToTheKernelIsARemark) {
  story.creates(app, 2, kListenPath).listens(2).exits(app);
  const Finding finding = only_verdict({.at_exit = true});
  EXPECT_EQ(finding.verdict, Verdict::kSuspect);
  EXPECT_DOUBLE_EQ(finding.confidence, 0.3);
}

TEST_F(JudgeTest, OpenedOneAfterTheOtherAndLeftToTheEndIsALeak) {
  for (std::uint64_t cookie = 10; cookie < 22; ++cookie) story.opens(app, cookie, kConnectPath).after(1ms);
  story.exits(app);
  const Finding finding = only_verdict({.at_exit = true});
  EXPECT_EQ(finding.verdict, Verdict::kLeak);
  EXPECT_EQ(finding.leaked, 12U);
}

TEST_F(JudgeTest, AtExitAllAreCountedThoughFewAreKept) {
  for (std::uint64_t cookie = 1; cookie <= 1500; ++cookie) story.opens(app, cookie, kConnectPath).after(1us);
  story.exits(app);
  EXPECT_EQ(only_verdict({.at_exit = true}).leaked, 1500U);
  EXPECT_EQ(only_verdict({.at_exit = true}).sockets.size(), 1024U);
}

TEST_F(JudgeTest, SocketsFromBeforeAreNotAccusedAtExit) {
  story.held_before(app, 10).snapshot().exits(app);
  EXPECT_TRUE(verdicts({.at_exit = true}).empty());
}

TEST_F(JudgeTest, WhoOpensBesideIdleOnesForgetsThem) {
  grow(10, 8, 3);
  story.snapshot();
  const Finding finding = only_verdict();
  EXPECT_EQ(finding.evidence[0].rule, "abandoned");
  EXPECT_EQ(finding.verdict, Verdict::kLeak);
  EXPECT_EQ(finding.evidence[0].text, "21 idle ones were passed over when 21 more were opened");
  EXPECT_EQ(finding.sockets.front().id, SocketId{10});
}

TEST_F(JudgeTest, AShortSessionSuspectsOnly) {
  grow(10, 3, 3);
  story.snapshot();
  EXPECT_EQ(only_verdict().verdict, Verdict::kSuspect);
}

TEST_F(JudgeTest, APoolUsesItsIdleOnesFirst) {
  grow(10, 6, 2);
  for (int i = 0; i < 10; ++i) story.after(5s).opens(app, 100, kConnectPath).after(10ms).closes(app, 100, kClosePath);
  const std::uint64_t now = story.now().ns;
  for (std::uint64_t cookie = 10; cookie < 22; ++cookie) {
    story.facts(cookie, facts([&](SocketFacts& f) { f.known = true; f.last_sent = KernelTime{now - 100'000'000}; f.last_received = KernelTime{now}; }));
  }
  story.snapshot();
  EXPECT_TRUE(verdicts().empty());
}

TEST_F(JudgeTest, AThreadThatIsBlockedInASocketUsesIt) {
  grow(10, 8, 3);
  for (std::uint64_t cookie = 10; cookie < 34; ++cookie) story.facts(cookie, facts([&](SocketFacts& f) { f.known = true; f.waiter = Waiter::kThread; }));
  story.snapshot();
  EXPECT_TRUE(verdicts().empty());
}

TEST_F(JudgeTest, AnEpollEntryOfAConnectionProvesNothing) {
  grow(10, 8, 3);
  for (std::uint64_t cookie = 10; cookie < 34; ++cookie) story.facts(cookie, facts([&](SocketFacts& f) { f.known = true; f.waiter = Waiter::kEpoll; }));
  story.snapshot();
  EXPECT_EQ(only_verdict().verdict, Verdict::kLeak);
}

TEST_F(JudgeTest, AServersClientsThatStayAreInUse) {
  story.creates(app, 2, kListenPath).listens(2);
  for (std::uint64_t cookie = 10; cookie < 50; ++cookie) {
    story.arrives(cookie, 2).accepts(app, cookie, 2, kAcceptPath).facts(cookie, facts([&](SocketFacts& f) { f.known = true; f.waiter = Waiter::kEpoll; })).after(1s);
  }
  story.snapshot();
  EXPECT_TRUE(verdicts().empty());
}

TEST_F(JudgeTest, SiblingsThatWereClosedSoonShowWhoWasForgotten) {
  for (std::uint64_t cookie = 100; cookie < 200; ++cookie) {
    story.opens(app, cookie, kConnectPath).after(20ms).closes(app, cookie, kClosePath).after(80ms);
    if (cookie % 25 == 0) story.opens(app, cookie + 1000, kConnectPath);
  }
  story.after(40s).opens(app, 999, kConnectPath).closes(app, 999, kClosePath).after(1s).snapshot();  // the load has stopped long ago
  const Finding finding = only_verdict();
  EXPECT_EQ(finding.verdict, Verdict::kLeak);
  EXPECT_EQ(finding.leaked, 4U);
  EXPECT_EQ(finding.evidence.back().rule, "survivor");
}

TEST_F(JudgeTest, AnAnswerThatNobodyReadsIsALeak) {
  for (std::uint64_t cookie = 10; cookie < 13; ++cookie) {
    story.opens(app, cookie, kConnectPath);
    story.facts(cookie, facts([&](SocketFacts& f) { f.known = true; f.last_received = story.now(); f.unread = 1000; f.waiter = Waiter::kNobody; }));
  }
  story.after(15s).snapshot();
  EXPECT_EQ(only_verdict().verdict, Verdict::kLeak);
  EXPECT_EQ(only_verdict().evidence[0].text, "3 000 bytes that nobody reads on 3 sockets, oldest 15 s");
}

TEST_F(JudgeTest, RequestsThatNobodyReadsAreNoMissingClose) {
  story.creates(app, 2, kListenPath).listens(2);
  for (std::uint64_t cookie = 10; cookie < 13; ++cookie) {
    story.arrives(cookie, 2).accepts(app, cookie, 2, kAcceptPath);
    story.facts(cookie, facts([&](SocketFacts& f) { f.known = true; f.last_received = story.now(); f.unread = 1000; f.waiter = Waiter::kNobody; }));
  }
  story.after(15s).snapshot();
  EXPECT_EQ(only_verdict().verdict, Verdict::kStuck);
  EXPECT_FALSE(only_verdict().counts);
}

TEST_F(JudgeTest, ClosedSiblingsAreSortedByHowOftenTheyHappen) {
  for (std::uint64_t cookie = 10; cookie < 20; ++cookie) {
    story.opens(app, cookie, kConnectPath).after(40ms);
    story.closes(app, cookie, cookie < 13 ? kClosePath : kOtherClosePath);
  }
  open_and_fin(30, 6);
  for (std::uint64_t cookie = 30; cookie < 36; ++cookie) story.facts(cookie, facts([&](SocketFacts& f) { f.known = true; f.end_read = true; }));
  story.after(12s).snapshot();
  const Finding finding = only_verdict();
  EXPECT_EQ(finding.closed, 10U);
  ASSERT_EQ(finding.closed_at.size(), 2U);
  EXPECT_EQ(finding.closed_at[0].second, 7U);
  EXPECT_EQ(finding.closed_at[1].second, 3U);
  EXPECT_EQ(finding.median_lifetime, 40ms);
  EXPECT_EQ(finding.longest_lifetime, 40ms);
}

TEST_F(JudgeTest, TheWorstComesFirst) {
  open_and_fin(10, 2);    // suspect
  accept_and_fin(30, 1);  // leak
  story.held_before(app, 50, TcpState::kCloseWait).held_before(app, 51, TcpState::kCloseWait);
  story.held_before(app, 52, TcpState::kCloseWait).snapshot().after(12s).snapshot();
  const auto findings = verdicts();
  ASSERT_EQ(findings.size(), 3U);
  EXPECT_EQ(findings[0].site.origin, Origin::kAccept);        // a leak
  EXPECT_EQ(findings[1].site.origin, Origin::kBeforeAttach);  // three suspects
  EXPECT_EQ(findings[2].site.origin, Origin::kConnect);       // two
}

bool same(const Finding& a, const Finding& b) {
  const auto ids = [](const Finding& f) {
    std::vector<SocketId> all;
    for (const SocketRecord& socket : f.sockets) all.push_back(socket.id);
    return all;
  };
  const auto words = [](const Finding& f) {
    std::string all;
    for (const Evidence& evidence : f.evidence) all += evidence.rule + evidence.text;
    return all;
  };
  return a.site == b.site && a.verdict == b.verdict && a.confidence == b.confidence && a.leaked == b.leaked &&
         ids(a) == ids(b) && words(a) == words(b) && a.closed_at == b.closed_at;
}

TEST_F(JudgeTest, TheSameEventsGiveTheSameFindings) {
  open_and_fin(1000, 40);
  accept_and_fin(2000, 40);
  grow(3000, 6, 7);
  story.snapshot().exits(test::process(5)).after(1s);
  const auto first = verdicts({.at_exit = true});
  const auto second = verdicts({.at_exit = true});
  ASSERT_EQ(first.size(), 2U);
  ASSERT_EQ(first.size(), second.size());
  for (std::size_t i = 0; i < first.size(); ++i) EXPECT_TRUE(same(first[i], second[i])) << i;
}

TEST(Verdict, HasTheReportsNames) {
  EXPECT_STREQ(to_string(Verdict::kLeak), "leak");
  EXPECT_STREQ(to_string(Verdict::kSuspect), "suspect");
  EXPECT_STREQ(to_string(Origin::kBeforeAttach), "before-attach");
}

}  // namespace
}  // namespace sockleak
