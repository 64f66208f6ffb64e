#include "app/session.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/app/told_story.hpp"

namespace sockleak {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

TEST(Session, SurvivesItsJson) {
  Session session = test::check_session();
  session.judge.older = 1500ms;
  session.growth_window = 2s;
  session.check = false;
  session.max_leaks = 3;
  session.leak_exit_code = 42;
  session.target.exit_status = 7;
  session.target.path = "/docker/3f2a";
  session.target.id = "3f2a";
  session.target.types = {"tcp", "udp"};
  session.names.put({Pid{812}, 5}, {"orders", "/srv/orders", "/docker/3f2a"});
  const std::string json = session_json(session);
  const Session again = parse_session(json);
  EXPECT_EQ(session_json(again), json);
  EXPECT_EQ(again.judge.older, 1500ms);
  EXPECT_TRUE(again.judge.at_exit);
  EXPECT_EQ(again.growth_window, 2s);
  EXPECT_FALSE(again.check);
  EXPECT_EQ(again.leak_exit_code, 42);
  EXPECT_EQ(again.target.exit_status, 7);
  EXPECT_THAT(again.target.pids, ElementsAre(812U));
  EXPECT_THAT(again.target.command, ElementsAre("./app"));
  ASSERT_NE(again.names.find({Pid{812}, 5}), nullptr);
  EXPECT_EQ(*again.names.find({Pid{812}, 5}), (ProcessName{"orders", "/srv/orders", "/docker/3f2a"}));
  EXPECT_EQ(again.target.path, "/docker/3f2a");
  EXPECT_EQ(again.target.id, "3f2a");
  EXPECT_THAT(again.target.types, ElementsAre("tcp", "udp"));
  EXPECT_EQ(again.names.find({Pid{812}, 6}), nullptr) << "a reused pid is another process";
}

TEST(Session, KnowsWhatCountsAndWhatTheLastLookFound) {
  Session session = test::check_session();
  session.fail_on_suspect = true;
  session.only = {"growth", "close-wait"};
  session.warmup = 1500ms;
  session.ports = {{7, "10.0.0.1", "10.0.0.9", 5432, 60, 100}};
  session.other_families = {{"netlink", 60}, {"packet", 1}};
  const Session again = parse_session(session_json(session));
  EXPECT_EQ(session_json(again), session_json(session));
  EXPECT_TRUE(again.fail_on_suspect);
  EXPECT_THAT(again.only, ElementsAre("growth", "close-wait"));
  EXPECT_EQ(again.warmup, 1500ms);
  ASSERT_EQ(again.ports.size(), 1U);
  EXPECT_EQ(again.ports[0].remote_port, 5432);
  ASSERT_EQ(again.other_families.size(), 2U);
  EXPECT_EQ(again.other_families[0].count, 60U);
}

TEST(Session, KnowsWhatWasDestroyed) {
  Session session = test::check_session();
  EXPECT_FALSE(parse_session(session_json(session)).actions) << "nothing was asked for";
  ReportAction action;
  action.cookie = 9;
  action.protocol = "tcp";
  action.local = {"::1", 4000};
  action.netns = 4026531840;
  action.holders = {{901, "sh", 3}};
  action.allowed = true;
  action.result = "done";
  session.actions = ReportActions{true, {action}};
  const Session again = parse_session(session_json(session));
  ASSERT_TRUE(again.actions);
  EXPECT_TRUE(again.actions->dry_run);
  EXPECT_EQ(session_json(again), session_json(session));
  EXPECT_EQ(again.actions->sockets.at(0).holders.at(0).comm, "sh");
}

TEST(Session, OfACommandThatStillRunsHasNoExitStatus) {
  Session session = test::check_session();
  session.target.exit_status.reset();
  EXPECT_EQ(parse_session(session_json(session)).target.exit_status, std::nullopt);
}

TEST(Session, ReplacesBytesThatAreNoText) {
  Session session = test::check_session();
  session.target.command = {"./app", "\xff\xfe", "\x1b]0;x\x07"};
  const Session once = parse_session(session_json(session));
  EXPECT_EQ(session_json(parse_session(session_json(once))), session_json(once));
  EXPECT_EQ(once.target.command[2], "\x1b]0;x\x07");
}

TEST(Session, OfACutRecordingIsOneOfUnknowns) {
  const Session session = parse_session("");
  EXPECT_TRUE(session.host.kernel.empty());
  EXPECT_TRUE(session.check);
  EXPECT_EQ(session.judge.older, JudgeOptions{}.older);
  EXPECT_EQ(session.growth_window, TrackerOptions{}.growth_window);
}

class ForeignSession : public testing::TestWithParam<const char*> {};

TEST_P(ForeignSession, IsReadAsFarAsItMakesSense) {
  const Session session = parse_session(GetParam());
  EXPECT_GE(session.growth_window, 1ms);
  EXPECT_GE(session.judge.older, 0s);
  EXPECT_GE(session.leak_exit_code, 0);
  EXPECT_LE(session.leak_exit_code, 255);
  EXPECT_EQ(parse_session(session_json(session)).tool_version, session.tool_version);
}

INSTANTIATE_TEST_SUITE_P(
    All, ForeignSession,
    testing::Values("{", "[]", "null", "7", "\"x\"", "{\"tool\":7,\"host\":[],\"target\":\"x\",\"hooks\":{\"a\":1}}",
                    "{\"judge\":{\"older_ns\":-1,\"growth_windows\":-3,\"at_exit\":\"yes\"},\"growth_window_ns\":0}",
                    "{\"judge\":{\"older_ns\":18446744073709551615},\"growth_window_ns\":18446744073709551615}",
                    "{\"leak_exit_code\":99999999999999,\"max_leaks\":-1,\"check\":null}",
                    "{\"leak_exit_code\":-1,\"started_ms\":9223372036854775807}",
                    "{\"target\":{\"pids\":[-1,\"x\",99999999999],\"command\":[1,[]],\"exit_status\":1e99}}",
                    "{\"only\":[1,{}],\"warmup_ns\":-1,\"fail_on_suspect\":3,\"ports\":[7,{\"port\":99999}],\"other_families\":\"x\"}",
                    "{\"processes\":[1,{\"pid\":-1},{\"pid\":1,\"start_ns\":\"x\",\"comm\":3}],\"hooks\":7}"));

TEST(Session, SaysWhenItBegan) {
  EXPECT_EQ(rfc3339(1'893'456'000'007), "2030-01-01T00:00:00.007Z");
  EXPECT_EQ(rfc3339(0), "");
  EXPECT_EQ(rfc3339(-5), "");
  EXPECT_EQ(rfc3339(std::numeric_limits<std::int64_t>::max()), "") << "no such year";
}

TEST(Session, KnowsThisHost) {
  const HostFacts host = host_facts();
  EXPECT_FALSE(host.kernel.empty());
  EXPECT_FALSE(host.arch.empty());
}

}  // namespace
}  // namespace sockleak
