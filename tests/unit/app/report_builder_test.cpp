#include "app/report_builder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/app/told_story.hpp"

namespace sockleak {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::Pair;

const test::Actor kApp = test::process(812, "orders");

/// Opens at 0x10 below 0x20, closes at 0x30; sockets 1..closed are closed, the next `left` never.
test::EventBuilder leak(std::uint64_t closed, std::uint64_t left) {
  test::EventBuilder story;
  story.session_begins().stack(100, {0x10, 0x20}).stack(200, {0x30, 0x20});
  for (std::uint64_t cookie = 1; cookie <= closed + left; ++cookie) {
    story.after(1ms).opens(kApp, cookie, 100);
    if (cookie <= closed) story.after(10ms).closes(kApp, cookie, 200);
  }
  return story;
}

TEST(ReportBuilder, TellsWhatACommandLeftOpen) {
  test::ToldStory told(leak(5, 2).after(1s).exits(kApp).snapshot());
  const Report report = told.report();
  EXPECT_EQ(report.created, 7U);
  EXPECT_EQ(report.closed, 5U);
  EXPECT_EQ(report.open, 2U);
  EXPECT_EQ(report.leaked, 2U);
  ASSERT_EQ(report.findings.size(), 1U);
  const ReportFinding& finding = report.findings[0];
  EXPECT_EQ(finding.finding.verdict, Verdict::kLeak);
  EXPECT_EQ(finding.finding.leaked, 2U);
  EXPECT_EQ(finding.created_at.frames.at(0).function, "f10");
  EXPECT_EQ(finding.site.size(), 16U);
  EXPECT_THAT(finding.states, ElementsAre(Pair("ESTABLISHED", 2U)));
  ASSERT_EQ(finding.closed_at.size(), 1U);
  EXPECT_EQ(finding.closed_at[0].count, 5U);
  EXPECT_EQ(finding.closed_at[0].stack.frames.at(0).function, "f30");
  EXPECT_EQ(finding.sockets.size(), 2U);
  EXPECT_NEAR(finding.sockets[0].age_s, 1.001, 1e-9);
}

TEST(ReportBuilder, KeepsTheSessionsFacts) {
  test::ToldStory told(leak(0, 1).after(2500ms).exits(kApp).snapshot());
  const Report report = told.report();
  EXPECT_EQ(report.tool_version, "0.1.0");
  EXPECT_EQ(report.host.kernel, "6.18.0");
  EXPECT_THAT(report.target.command, ElementsAre("./app"));
  EXPECT_EQ(report.window.start, "2030-01-01T00:00:00.250Z");
  EXPECT_EQ(report.window.end, "2030-01-01T00:00:02.751Z");
  EXPECT_NEAR(report.window.seconds, 2.501, 1e-9);
  EXPECT_TRUE(report.complete);
}

TEST(ReportBuilder, ClosesAtTheEndAreClosesWhereThatIsNotJudged) {
  Session session = test::check_session();
  session.judge.at_exit = false;
  test::ToldStory told(leak(5, 2).exits(kApp).snapshot(), session);
  const Report report = told.report();
  EXPECT_EQ(report.closed, 7U);
  EXPECT_EQ(report.open, 0U);
  EXPECT_TRUE(report.findings.empty());
}

TEST(ReportBuilder, GroupsCreatorsByProcessAndThreadName) {
  test::EventBuilder story;
  story.session_begins().stack(100, {0x10});
  story.opens(test::thread(kApp, 815, "worker"), 1, 100).opens(test::thread(kApp, 816, "worker"), 2, 100);
  story.opens(kApp, 3, 100).exits(kApp).snapshot();
  Session session = test::check_session();
  session.names.put(kApp.process(), {"orders-main", "/srv/orders"});
  test::ToldStory told(story, session);
  const Report report = told.report();
  ASSERT_EQ(report.findings.size(), 1U);
  const auto& creators = report.findings[0].creators;
  ASSERT_EQ(creators.size(), 2U);
  EXPECT_EQ(creators[0].thread, "worker");
  EXPECT_EQ(creators[0].count, 2U);
  EXPECT_EQ(creators[0].tid, 0U) << "two threads of one name";
  EXPECT_EQ(creators[0].comm, "orders-main");
  EXPECT_EQ(creators[0].exe, "/srv/orders");
  EXPECT_EQ(creators[1].tid, 812U);
}

TEST(ReportBuilder, TakesTheMainThreadsNameForTheProcesss) {
  test::ToldStory told(leak(0, 1).exits(kApp).snapshot());
  EXPECT_EQ(told.report().findings.at(0).creators.at(0).comm, "orders");
}

TEST(ReportBuilder, CountsClientsByAddressAndNamesTheListener) {
  test::EventBuilder story;
  story.session_begins().stack(50, {0x50, 0x20}).stack(100, {0x10, 0x20});
  story.creates(kApp, 1, 50).listens(1);
  for (std::uint64_t cookie = 2; cookie < 5; ++cookie) story.arrives(cookie, 1).accepts(kApp, cookie, 1, 100);
  story.closes(kApp, 1).exits(kApp).snapshot();
  test::ToldStory told(story);
  const Report report = told.report();
  ASSERT_EQ(report.findings.size(), 1U);
  const ReportFinding& finding = report.findings[0];
  ASSERT_EQ(finding.peers.size(), 1U);
  EXPECT_EQ(finding.peers[0].first.port, 0U);
  EXPECT_EQ(finding.peers[0].second, 3U);
  ASSERT_TRUE(finding.listener_created_at);
  EXPECT_EQ(finding.listener_created_at->frames.at(0).function, "f50");
}

TEST(ReportBuilder, SaysWhyThereIsNoCreationStack) {
  test::EventBuilder story;
  story.session_begins();
  for (std::uint64_t cookie = 1; cookie < 4; ++cookie) {
    story.held_before(kApp, cookie, TcpState::kCloseWait);
  }
  story.snapshot().after(20s).snapshot();
  test::ToldStory before(story);
  ASSERT_EQ(before.report().findings.size(), 1U);
  EXPECT_EQ(before.report().findings[0].created_at,
            (Stack{{}, true, "opened before sockleak attached, or by a process that it does not watch"}));

  test::EventBuilder stackless;
  stackless.session_begins().opens(kApp, 1).exits(kApp).snapshot();
  test::ToldStory lost(stackless);
  EXPECT_EQ(lost.report().findings.at(0).created_at.why, why_short(WalkEnd::kMissingRule));

  test::EventBuilder unseen;
  unseen.session_begins().creates(kApp, 1, 50).stack(50, {0x50}).listens(1).arrives(2, 1).gets(kApp, 2);
  unseen.closes(kApp, 1).exits(kApp).snapshot();
  test::ToldStory accepted(unseen);
  EXPECT_EQ(accepted.report().findings.at(0).created_at.why, "accepted in a way that no hook saw, or its stack was lost");
}

TEST(ReportBuilder, ShowsAHundredSocketsAndCountsAll) {
  test::ToldStory told(leak(0, 150).exits(kApp).snapshot());
  const Report report = told.report();
  EXPECT_EQ(report.findings.at(0).sockets.size(), kShownSockets);
  EXPECT_EQ(report.findings[0].finding.leaked, 150U);
  EXPECT_THAT(report.findings[0].states, ElementsAre(Pair("ESTABLISHED", 150U)));
}

TEST(ReportBuilder, ListsEverySiteIfAsked) {
  test::EventBuilder story = leak(3, 1);
  story.stack(300, {0x70}).opens(kApp, 50, 300).closes(kApp, 50, 200).exits(kApp).snapshot();
  test::ToldStory told(story);
  EXPECT_FALSE(told.report().sites);
  const Report report = told.report(true);
  ASSERT_TRUE(report.sites);
  ASSERT_EQ(report.sites->size(), 2U);
  EXPECT_EQ(report.sites->at(0).finding.created, 4U);
  EXPECT_EQ(report.sites->at(0).finding.leaked, 1U);
  EXPECT_EQ(report.sites->at(1).finding.created, 1U);
  EXPECT_EQ(report.sites->at(1).finding.closed, 1U);
  EXPECT_EQ(report.sites->at(1).created_at.frames.at(0).function, "f70");
  EXPECT_EQ(report.sites->at(1).closed_at.at(0).stack.frames.at(0).function, "f30");
}

TEST(ReportBuilder, TellsWhichGoroutinesMadeTheSockets) {
  test::EventBuilder story;
  story.session_begins().stack(100, {0x10}).stack(101, {0x40}).stack(102, {0x50}).stack(103, {0x60});
  for (std::uint64_t cookie = 1; cookie <= 3; ++cookie) {
    story.opens(kApp, cookie, 100).in_goroutine(cookie, 70 + cookie, 101);
    story.ancestors(cookie, {{cookie == 3 ? 9U : 5U, cookie == 3 ? 103U : 102U}, {1, 103}});
  }
  test::ToldStory told(story.exits(kApp).snapshot());
  const Report report = told.report();
  const ReportFinding& finding = report.findings.at(0);
  EXPECT_EQ(finding.creators.at(0).goroutine, 0U) << "several";
  EXPECT_EQ(finding.creators.at(0).goroutines, 3U);
  ASSERT_TRUE(finding.goroutine_created_at);
  EXPECT_EQ(finding.goroutine_created_at->frames.at(0).function, "f40");
  ASSERT_EQ(finding.goroutine_ancestors.size(), 2U) << "of the most frequent way";
  EXPECT_EQ(finding.goroutine_ancestors[0].goroutine, 5U);
  EXPECT_TRUE(finding.goroutine_ancestors[0].exact);
  EXPECT_EQ(finding.goroutine_ancestors[0].stack.frames.at(0).function, "f50");
  EXPECT_FALSE(finding.caller) << "the stack itself has frames of the program";

  test::EventBuilder single;
  single.session_begins().stack(100, {0x10}).opens(kApp, 1, 100).in_goroutine(1, 77).exits(kApp).snapshot();
  test::ToldStory one(single);
  EXPECT_EQ(one.report().findings.at(0).creators.at(0).goroutine, 77U);
  EXPECT_FALSE(one.report().findings.at(0).goroutine_created_at);
}

TEST(ReportBuilder, AsksOnceForEachStackToKnowWhoseSiblingsTheyAre) {
  test::EventBuilder story = leak(3, 0);
  story.exits(kApp).snapshot();
  test::ToldStory told(story);
  EXPECT_TRUE(told.report().findings.empty());
  EXPECT_EQ(told.symbolizer.asked, 2U) << "where they are opened, and where the last ones were closed";
}

struct StatusCase {
  std::uint64_t leaked;
  std::uint64_t max_leaks;
  std::optional<int> command;
  bool complete;
  bool check;
  int status;
};

class ExitStatus : public testing::TestWithParam<StatusCase> {};

TEST_P(ExitStatus, FollowsTheContract) {
  const StatusCase& given = GetParam();
  Report report;
  report.leaked = given.leaked;
  report.complete = given.complete;
  Session session;
  session.check = given.check;
  session.max_leaks = given.max_leaks;
  session.leak_exit_code = 42;
  session.target.exit_status = given.command;
  EXPECT_EQ(exit_status(report, session), given.status);
}

INSTANTIATE_TEST_SUITE_P(All, ExitStatus,
                         testing::Values(StatusCase{0, 0, {}, true, true, 0}, StatusCase{3, 0, {}, true, true, 42},
                                         StatusCase{3, 3, 0, true, true, 0}, StatusCase{4, 3, 0, true, true, 42},
                                         StatusCase{0, 0, 7, true, true, 7}, StatusCase{3, 0, 7, false, true, 42},
                                         StatusCase{0, 0, 7, false, true, 7}, StatusCase{0, 0, 0, false, true, 4},
                                         StatusCase{0, 0, {}, false, true, 4}, StatusCase{3, 3, 7, true, true, 7},
                                         StatusCase{3, 0, 7, false, false, 0}));

}  // namespace
}  // namespace sockleak
