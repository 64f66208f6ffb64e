// What makes `check` fail: --fail-on, --only, --warmup, --max-leaks.
#include "app/counting.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/app/told_story.hpp"

namespace sockleak {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsSupersetOf;

const test::Actor kApp = test::process(812, "orders");

Finding accused(Verdict verdict, std::uint64_t leaked, const char* rule) {
  Finding finding;
  finding.verdict = verdict;
  finding.counts = verdict == Verdict::kLeak;
  finding.leaked = leaked;
  finding.evidence = {{rule, "", 0.9}};
  return finding;
}

std::uint64_t counted(const Session& session, const std::vector<Finding>& findings) {
  const StackStore stacks;
  const Tracker tracker(stacks, {});
  Counting counting(session, tracker);
  for (const Finding& finding : findings) counting.count(finding);
  return counting.result()->counted;
}

const std::vector<Finding> kFindings{accused(Verdict::kLeak, 3, "close-wait"), accused(Verdict::kSuspect, 5, "growth"),
                                     accused(Verdict::kOwnerless, 7, "unaccepted"), accused(Verdict::kPool, 9, "pool")};

TEST(Counting, TakesLeaksUnlessSuspectsAreAskedFor) {
  Session session = test::check_session();
  EXPECT_EQ(counted(session, kFindings), 3U);
  session.fail_on_suspect = true;
  EXPECT_EQ(counted(session, kFindings), 8U);
}

TEST(Counting, TakesOnlyWhatTheNamedRulesAccuse) {
  Session session = test::check_session();
  session.only = {"growth", "invisible"};
  EXPECT_EQ(counted(session, kFindings), 0U);
  session.fail_on_suspect = true;
  EXPECT_EQ(counted(session, kFindings), 5U);
  session.only = {"close-wait"};
  EXPECT_EQ(counted(session, kFindings), 3U);
}

TEST(Counting, IsOfCheckOnly) {
  Session session = test::check_session();
  session.check = false;
  const StackStore stacks;
  const Tracker tracker(stacks, {});
  EXPECT_FALSE(Counting(session, tracker).result());
}

/// Two sockets of a site left to the end: one opened after 10 ms, one after a second.
test::EventBuilder early_and_late() {
  test::EventBuilder story;
  story.session_begins().stack(100, {0x10, 0x20}).stack(200, {0x30, 0x20});
  story.after(10ms).opens(kApp, 1, 100);
  story.after(990ms).opens(kApp, 2, 100);
  story.after(1ms).opens(kApp, 3, 100).after(1ms).closes(kApp, 3, 200);
  story.after(1s).exits(kApp).snapshot();
  return story;
}

TEST(Counting, LeavesOutWhatTheWarmupOpened) {
  Session session = test::check_session();
  session.warmup = 500ms;
  test::ToldStory told(early_and_late(), session);
  const Report report = told.report();
  ASSERT_EQ(report.findings.size(), 1U);
  EXPECT_EQ(report.findings[0].finding.leaked, 1U);
  ASSERT_EQ(report.findings[0].sockets.size(), 1U);
  EXPECT_EQ(report.findings[0].sockets[0].record.id, SocketId{2});
  EXPECT_EQ(report.leaked, 1U);
  ASSERT_TRUE(report.counting);
  EXPECT_EQ(report.counting->left_out, 1U);
  EXPECT_EQ(report.counting->counted, 1U);
  EXPECT_EQ(exit_status(report, session), 1);
}

TEST(Counting, AWarmupThatOutlastsTheSessionLeavesNothingToAccuse) {
  Session session = test::check_session();
  session.warmup = 1h;
  test::ToldStory told(early_and_late(), session);
  const Report report = told.report();
  EXPECT_TRUE(report.findings.empty());
  EXPECT_EQ(report.counting->left_out, 2U);
  EXPECT_EQ(exit_status(report, session), 0);
}

TEST(Counting, DecidesTheExitStatus) {
  Session session = test::check_session();
  session.only = {"close-wait"};
  test::ToldStory told(early_and_late(), session);
  const Report report = told.report();
  EXPECT_EQ(report.leaked, 2U) << "it is found all the same";
  EXPECT_EQ(report.counting->counted, 0U);
  EXPECT_EQ(exit_status(report, session), 0);
  session.target.exit_status = 7;
  EXPECT_EQ(exit_status(report, session), 7) << "the command's own";
}

TEST(Counting, KnowsTheRulesThatThereAre) {
  EXPECT_THAT(accusing_rules(),
              IsSupersetOf({"close-wait", "growth", "invisible", "open-at-exit", "outlived-creator", "unaccepted"}));
}

}  // namespace
}  // namespace sockleak
