// Rules about who holds a socket: outlived-creator, invisible, unaccepted.
#include <gtest/gtest.h>

#include "judge/judge.hpp"
#include "judge/leftovers.hpp"
#include "support/tracked_story.hpp"

namespace sockleak {
namespace {

using namespace std::chrono_literals;
using test::EventBuilder;
using test::TrackedStory;

constexpr std::uint64_t kConnectPath = 0x11;
constexpr std::uint64_t kAcceptPath = 0x22;
constexpr std::uint64_t kListenPath = 0x33;

class HolderRulesTest : public ::testing::Test {
 protected:
  HolderRulesTest() {
    story.stack(kConnectPath, {0x1000}).stack(kAcceptPath, {0x2000}).stack(kListenPath, {0x3000}).session_begins();
  }

  [[nodiscard]] std::vector<Finding> verdicts(const JudgeOptions& options = {}) const {
    return judge(TrackedStory(story).tracker(), story.now(), options);
  }
  [[nodiscard]] Finding only_verdict(const JudgeOptions& options = {}) const {
    const auto findings = verdicts(options);
    EXPECT_EQ(findings.size(), 1U);
    return findings.empty() ? Finding{} : findings.front();
  }
  void open_and_inherit() {
    story.opens(app, 10, kConnectPath).after(1ms).forks(app, child).after(1ms);
  }

  const test::Actor app = test::process(812, "orders");
  const test::Actor child = test::process(900, "sh");
  EventBuilder story;
};

// --- outlived-creator ------------------------------------------------------------------------------------------------

TEST_F(HolderRulesTest, AnExecutedProgramThatKeepsADeadParentsSocketIsALeak) {
  open_and_inherit();
  story.execs(child).exits(app).snapshot();
  const Finding finding = only_verdict();
  EXPECT_EQ(finding.verdict, Verdict::kInherited);
  EXPECT_TRUE(finding.counts);
  EXPECT_DOUBLE_EQ(finding.confidence, 0.9);
  EXPECT_EQ(finding.evidence[0].rule, "outlived-creator");
  EXPECT_EQ(finding.evidence[0].text,
            "the process that opened it has ended: 1 inherited through fork and exec without CLOEXEC");
  ASSERT_EQ(finding.sockets[0].holders.size(), 1U);
  EXPECT_EQ(finding.sockets[0].holders[0].handed_over, HandOver::kForkExec);
}

TEST_F(HolderRulesTest, OnlyWhatIsSureIsALeftover) {
  open_and_inherit();
  story.execs(child).snapshot();
  EXPECT_TRUE(sure_leftovers(TrackedStory(story).tracker(), {}).empty()) << "its creator lives";
  story.exits(app).snapshot();
  const TrackedStory told(story);
  ASSERT_EQ(sure_leftovers(told.tracker(), {}).size(), 1U);
  EXPECT_EQ(sure_leftovers(told.tracker(), {})[0]->id.value, 10U);
  EXPECT_TRUE(sure_leftovers(told.tracker(), {.leak_confidence = 0.95}).empty());
}

TEST_F(HolderRulesTest, AChildThatWasOnlyForkedHasNoSureLeftover) {
  open_and_inherit();
  story.exits(app).after(60s).snapshot();
  EXPECT_EQ(verdicts().size(), 1U);
  EXPECT_TRUE(sure_leftovers(TrackedStory(story).tracker(), {}).empty());
}

TEST_F(HolderRulesTest, WhileTheCreatorLivesNothingIsSaid) {
  open_and_inherit();
  story.execs(child).after(60s).snapshot();
  EXPECT_TRUE(verdicts().empty());
}

TEST_F(HolderRulesTest, AChildOfTheSameProgramMayBeMeantToGoOn) {
  open_and_inherit();
  story.exits(app).after(9s).snapshot();
  EXPECT_TRUE(verdicts().empty());
  story.after(1s).snapshot();
  const Finding finding = only_verdict();
  EXPECT_EQ(finding.verdict, Verdict::kInherited);
  EXPECT_FALSE(finding.counts);
  EXPECT_DOUBLE_EQ(finding.confidence, 0.5);
}

TEST_F(HolderRulesTest, AListenerHandedOnIsNoLeak) {
  story.creates(app, 10, kListenPath).listens(10).after(1ms).forks(app, child).execs(child).exits(app);
  story.after(60s).snapshot();
  EXPECT_TRUE(verdicts().empty());
}

TEST_F(HolderRulesTest, StandardInputIsHandedOnByDesign) {
  open_and_inherit();
  story.execs(child).exits(app);
  story.record(SL_SNAPSHOT_BEGIN, sl_snapshot_mark{});
  sl_snapshot_holder holder{};
  holder.header.tgid = child.pid;
  holder.header.start_ns = child.start_ns;
  holder.cookie = 10;
  for (const std::int32_t fd : {0, 1, 7}) {
    holder.fd = fd;
    story.record(SL_SNAPSHOT_HOLDER, holder);
  }
  story.record(SL_SNAPSHOT_END, sl_snapshot_mark{.header = {}, .complete = 1, .padding = 0});
  EXPECT_TRUE(verdicts().empty());
}

TEST_F(HolderRulesTest, WhoAskedForASocketIsSuspectAtMost) {
  const test::Actor proxy = test::process(2000, "proxy");
  story.opens(app, 10, kConnectPath).receives(proxy, 10, SL_RECEIVED_MESSAGE);
  story.opens(app, 11, kConnectPath).receives(proxy, 11, SL_RECEIVED_PIDFD).opens(app, 12, kConnectPath).gets(proxy, 12);
  story.exits(app).after(60s).snapshot();
  const Finding finding = only_verdict();
  EXPECT_EQ(finding.verdict, Verdict::kInherited);
  EXPECT_FALSE(finding.counts);
  EXPECT_DOUBLE_EQ(finding.confidence, 0.4);
  EXPECT_EQ(finding.evidence[0].text,
            "the process that opened them has ended: 1 received through SCM_RIGHTS, 1 taken with pidfd_getfd, "
            "1 handed over in a way that was not seen");
}

TEST_F(HolderRulesTest, AReceiverThatLeavesTheSocketInCloseWaitLeaks) {
  const test::Actor proxy = test::process(2000, "proxy");
  for (std::uint64_t cookie = 10; cookie < 20; ++cookie) {
    story.arrives(cookie, 2).accepts(app, cookie, 2, kAcceptPath).receives(proxy, cookie, SL_RECEIVED_MESSAGE);
    story.closes(app, cookie).peer_closes(cookie);
  }
  story.exits(app).after(60s).snapshot();
  const Finding finding = only_verdict();
  EXPECT_EQ(finding.evidence.size(), 2U);
  EXPECT_TRUE(finding.counts);
  EXPECT_EQ(finding.leaked, 10U);
}

TEST_F(HolderRulesTest, SocketsFromBeforeHaveTheirOldestHolderForAnOwner) {
  story.held_before(app, 10).snapshot().forks(app, child).execs(child).exits(app).snapshot();
  const Finding finding = only_verdict();
  EXPECT_EQ(finding.verdict, Verdict::kInherited);
  EXPECT_EQ(finding.site.origin, Origin::kBeforeAttach);
  EXPECT_TRUE(finding.counts);
}

// --- invisible -------------------------------------------------------------------------------------------------------

TEST_F(HolderRulesTest, AServersResetConnectionsAreALeak) {
  for (std::uint64_t cookie = 10; cookie < 13; ++cookie) {
    story.arrives(cookie, 2).accepts(app, cookie, 2, kAcceptPath).state(cookie, TcpState::kClose);
  }
  story.after(9s).snapshot();
  EXPECT_TRUE(verdicts().empty());
  story.after(3s).snapshot();
  const Finding finding = only_verdict();
  EXPECT_EQ(finding.verdict, Verdict::kLeak);
  EXPECT_EQ(finding.leaked, 3U);
  EXPECT_EQ(finding.evidence[0].rule, "invisible");
  EXPECT_EQ(finding.evidence[0].text, "3 sockets that `ss` cannot show: 3 broken off, for >= 10 s, oldest 12 s");
}

TEST_F(HolderRulesTest, OneUnusedSocketIsARemarkManyAreALeak) {
  story.creates(app, 10, kConnectPath).after(20s).snapshot();
  EXPECT_EQ(only_verdict().verdict, Verdict::kSuspect);
  EXPECT_EQ(only_verdict().evidence[0].text,
            "1 socket that `ss` cannot show: 1 never connected, for >= 10 s, oldest 20 s");
  for (std::uint64_t cookie = 20; cookie < 40; ++cookie) story.creates(app, cookie, kConnectPath).after(1s);
  story.snapshot();
  EXPECT_GE(only_verdict().confidence, 0.85);
  EXPECT_EQ(only_verdict().verdict, Verdict::kLeak);
}

TEST_F(HolderRulesTest, DatagramSocketsNeedNoConnection) {
  story.creates(app, 10, kConnectPath, Protocol::kUdp).after(60s).snapshot();
  EXPECT_TRUE(verdicts().empty());
}

TEST_F(HolderRulesTest, ASocketThatCameBackToLifeIsNotAccused) {
  story.opens(app, 10, kConnectPath).state(10, TcpState::kClose).after(60s).connects(10).snapshot();
  EXPECT_TRUE(verdicts().empty());
}

// --- unaccepted ------------------------------------------------------------------------------------------------------

TEST_F(HolderRulesTest, WaitingConnectionsAreReportedForTheirListener) {
  story.creates(app, 2, kListenPath).listens(2).arrives(10, 2).arrives(11, 2).after(12s).arrives(12, 2).snapshot();
  const Finding finding = only_verdict();
  EXPECT_EQ(finding.verdict, Verdict::kOwnerless);
  EXPECT_FALSE(finding.counts);
  EXPECT_EQ(finding.leaked, 2U);  // the third has only just come
  EXPECT_DOUBLE_EQ(finding.confidence, 0.7);
  EXPECT_EQ(finding.evidence[0].text, "2 connections wait for accept() >= 10 s, oldest 12 s");
  ASSERT_EQ(finding.listeners.size(), 1U);
  EXPECT_EQ(finding.listeners[0].id, SocketId{2});
}

TEST_F(HolderRulesTest, AFullQueueAndAnAcceptorWithoutDescriptorsAreNamed) {
  story.creates(app, 2, kListenPath).listens(2).arrives(10, 2).after(12s).snapshot().queue(2, 17, 16);
  EXPECT_DOUBLE_EQ(only_verdict().confidence, 0.9);
  EXPECT_EQ(only_verdict().evidence[0].text,
            "1 connection waits for accept() >= 10 s, oldest 12 s; the queue holds 17, backlog 16");
  story.limit(test::process(5), 64, 64);  // somebody else
  EXPECT_DOUBLE_EQ(only_verdict().confidence, 0.9);
  story.limit(app, 64, 64);
  EXPECT_DOUBLE_EQ(only_verdict().confidence, 0.95);
  EXPECT_EQ(only_verdict().evidence[0].text,
            "1 connection waits for accept() >= 10 s, oldest 12 s; the queue holds 17, backlog 16; orders (812) has 64 "
            "of 64 descriptors: accept() fails with EMFILE");
}

TEST_F(HolderRulesTest, AcceptedInTimeNothingIsSaid) {
  story.creates(app, 2, kListenPath).listens(2).arrives(10, 2).after(12s).accepts(app, 10, 2, kAcceptPath).snapshot();
  EXPECT_TRUE(verdicts().empty());
}

}  // namespace
}  // namespace sockleak
