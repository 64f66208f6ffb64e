// Plans over tables made by hand: what is allowed, what is refused and why, and how results are told apart.
#include "act/plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "act/carry_out.hpp"
#include "act/own.hpp"
#include "act/stop_process.hpp"
#include "unit/act/tables.hpp"

namespace sockleak::act {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Step only_step(SocketFacts socket, const Guards& guards = {}) {
  return make_plan({std::move(socket)}, guards).steps[0];
}

TEST(Plan, AHeldConnectionIsAllowedAndItsDescriptorStays) {
  const Step step = only_step(tcp(1, TcpState::kEstablished));
  EXPECT_TRUE(step.allowed);
  EXPECT_THAT(step.owner_sees, HasSubstr("ECONNABORTED"));
  EXPECT_THAT(step.stays, HasSubstr("descriptor"));
}

TEST(Plan, WhoeverNamesItMayRefuseItToo) {
  Guards guards;
  guards.named_by = "its creator has ended";
  guards.refuses = [](const SocketFacts& socket) { return socket.id.value == 2 ? "another holder" : ""; };
  EXPECT_THAT(only_step(tcp(1, TcpState::kEstablished), guards).why, HasSubstr("its creator has ended"));
  const Step refused = only_step(tcp(2, TcpState::kEstablished), guards);
  EXPECT_FALSE(refused.allowed);
  EXPECT_EQ(refused.why, "another holder");
  EXPECT_THAT(only_step(tcp(2, TcpState::kListen, Cause::kListener), guards).why, HasSubstr("listens"));
}

TEST(Plan, WhatIsNotProvenOrIsNoLeakIsRefused) {
  const std::map<Cause, const char*> refusals{{Cause::kListener, "listens"},  {Cause::kTimeWait, "no leak"},
                                              {Cause::kRequest, "half-open"}, {Cause::kKernel, "kernel"},
                                              {Cause::kSubflow, "MPTCP"},     {Cause::kUnknown, "nobody is seen"},
                                              {Cause::kOrphan, "could not"}};
  for (const auto& [cause, words] : refusals) {
    const Step step = only_step(tcp(1, TcpState::kEstablished, cause));
    EXPECT_FALSE(step.allowed) << to_string(cause);
    EXPECT_THAT(step.why, HasSubstr(words)) << to_string(cause);
    EXPECT_THAT(step.owner_sees, IsEmpty());
  }
}

TEST(Plan, OrphansGoOnlyWhereTheKernelLetsThemGo) {
  Guards guards;
  guards.orphans_die = false;
  EXPECT_THAT(only_step(tcp(1, TcpState::kFinWait1, Cause::kOrphan), guards).why, HasSubstr("forever"));
  guards.orphans_die = true;
  EXPECT_TRUE(only_step(tcp(1, TcpState::kFinWait1, Cause::kOrphan), guards).allowed);
}

TEST(Plan, OwnSocketsAndTheLoginNeedInsistence) {
  Guards guards;
  guards.own = {Pid{812}};
  EXPECT_THAT(only_step(tcp(1, TcpState::kEstablished), guards).why, HasSubstr("--even-mine"));
  guards.own.clear();
  const auto login = parse_ssh_connection("10.0.0.9 5432 10.0.0.1 40000");
  ASSERT_TRUE(login);
  guards.login = {*login};
  EXPECT_FALSE(only_step(tcp(1, TcpState::kEstablished), guards).allowed);
  guards.even_mine = true;
  EXPECT_TRUE(only_step(tcp(1, TcpState::kEstablished), guards).allowed);
}

TEST(Plan, InsistenceDoesNotLiftOtherRefusals) {
  Guards guards;
  guards.even_mine = true;
  guards.orphans_die = true;
  for (const Cause cause : {Cause::kListener, Cause::kKernel, Cause::kSubflow, Cause::kUnknown}) {
    EXPECT_FALSE(only_step(tcp(1, TcpState::kEstablished, cause), guards).allowed) << to_string(cause);
  }
}

TEST(Plan, CookiesThatMeanAnySocketAreRefused) {
  EXPECT_FALSE(only_step(tcp(0, TcpState::kEstablished)).allowed);
  EXPECT_FALSE(only_step(tcp(~std::uint64_t{0}, TcpState::kEstablished)).allowed);
}

TEST(Plan, AnUnconnectedUdpSocketIsRefused) {
  SocketFacts socket = tcp(1, TcpState::kClose);
  socket.addresses.protocol = Protocol::kUdp;
  EXPECT_TRUE(only_step(socket).allowed);
  socket.addresses.remote.port = 0;
  EXPECT_FALSE(only_step(socket).allowed);
}

TEST(Plan, ShutdownNeedsAHolder) {
  Guards guards;
  guards.method = Method::kShutdown;
  EXPECT_TRUE(only_step(tcp(1, TcpState::kEstablished), guards).allowed);
  EXPECT_FALSE(only_step(tcp(1, TcpState::kEstablished, Cause::kUnaccepted), guards).allowed);
}

TEST(Explain, CausesFollowFromTheWholeTable) {
  std::vector<SocketFacts> sockets;
  const auto add = [&](std::uint64_t id, TcpState state, std::uint64_t inode) -> SocketFacts& {
    sockets.push_back(tcp(id, state, Cause::kUnknown));
    sockets.back().inode = inode;
    return sockets.back();
  };
  SocketFacts& listener = add(1, TcpState::kListen, 11);
  listener.addresses.local = at("::", 40000);
  listener.addresses.remote = at("::", 0);
  listener.receive_queue = 1;
  add(2, TcpState::kEstablished, 0);
  add(3, TcpState::kEstablished, 0).addresses.local.port = 40001;
  add(4, TcpState::kFinWait1, 0);
  add(5, TcpState::kEstablished, 12);
  add(6, TcpState::kEstablished, 13);
  add(7, TcpState::kEstablished, 12).mptcp = true;
  add(8, TcpState::kTimeWait, 0);
  add(9, TcpState::kEstablished, 0).netns = NetnsId{1};
  SocketHolders holders;
  holders.by_inode[11] = {{Pid{1}, Fd{3}, "server"}};
  holders.by_inode[12] = {{Pid{2}, Fd{4}, "client"}};
  explain(sockets, holders);
  std::vector<Cause> causes;
  for (const SocketFacts& socket : sockets) causes.push_back(socket.cause);
  EXPECT_THAT(causes, ElementsAre(Cause::kListener, Cause::kUnaccepted, Cause::kUnknown, Cause::kOrphan, Cause::kHeld,
                                  Cause::kUnknown, Cause::kSubflow, Cause::kTimeWait, Cause::kUnknown));
  EXPECT_EQ(sockets[1].holders.at(0).comm, "server");
}

/// A kernel that answers as told.
class FakeKernel final : public KernelSockets {
 public:
  Result<SocketList> list() override { return list_states(); }
  Result<SocketList> list_states() override { return SocketList{after, {}, true}; }
  Result<std::vector<int>> destroy(std::span<const SocketFacts* const> sockets) override {
    std::vector<int> out;
    for (const SocketFacts* socket : sockets) {
      asked.push_back(socket->id.value);
      out.push_back(answers[socket->id.value]);
    }
    return out;
  }
  std::map<std::uint64_t, int> answers;
  std::vector<std::uint64_t> asked;
  std::vector<SocketFacts> after;
};

TEST(CarryOut, EverySocketHasItsOwnResult) {
  const Plan plan = make_plan(
      {tcp(1, TcpState::kEstablished), tcp(2, TcpState::kListen, Cause::kListener), tcp(3, TcpState::kEstablished),
       tcp(4, TcpState::kEstablished), tcp(5, TcpState::kEstablished), tcp(6, TcpState::kEstablished)},
      {});
  FakeKernel kernel;
  kernel.answers = {{1, 0}, {3, ENOENT}, {4, EPERM}, {5, 0}, {6, ENOENT}};
  kernel.after = {tcp(5, TcpState::kEstablished), tcp(6, TcpState::kEstablished)};
  const auto results = carry_out(plan, kernel, {});
  ASSERT_TRUE(results);
  EXPECT_THAT(kernel.asked, ElementsAre(1, 3, 4, 5, 6)) << "never the listener";
  std::vector<std::string> told;
  for (const StepResult& result : *results) told.emplace_back(to_string(result.outcome));
  EXPECT_THAT(told, ElementsAre("done", "already gone", "refused", "refused", "refused", "refused"));
  EXPECT_THAT((*results)[2].why, HasSubstr("CAP_NET_ADMIN"));
  EXPECT_THAT((*results)[3].why, HasSubstr("still there"));
  EXPECT_THAT((*results)[4].why, HasSubstr("another socket"));
  EXPECT_FALSE(everything_done(plan, *results));
}

TEST(CarryOut, ARateGoesOneByOneAndAnInterruptLeavesTheRest) {
  const Plan plan = make_plan({tcp(1, TcpState::kEstablished), tcp(2, TcpState::kEstablished)}, {});
  FakeKernel kernel;
  int pauses = 0;
  CarryOutOptions options;
  options.per_second = 10;
  options.pause = [&](Duration time) { pauses += time == std::chrono::milliseconds(100) ? 1 : 100; };
  options.interrupted = [&] { return pauses != 0; };
  const auto results = carry_out(plan, kernel, options);
  ASSERT_TRUE(results);
  EXPECT_EQ(pauses, 1);
  EXPECT_THAT(kernel.asked, ElementsAre(1));
  EXPECT_EQ((*results)[1].why, "interrupted");
  EXPECT_FALSE(everything_done(plan, *results));
}

TEST(StopProcess, NamesTheInnermostService) {
  EXPECT_EQ(service_of("0::/system.slice/nginx.service\n"), "nginx.service");
  EXPECT_EQ(service_of("0::/user.slice/user@1000.service/app.slice/app-x.service/sub\n"), "app-x.service");
  EXPECT_EQ(service_of("3:cpu:/a.service\n1:name=systemd:/system.slice/old.service\n0::/\n"), "old.service");
  EXPECT_EQ(service_of("0::/user.slice/session-3.scope\n"), "");
  EXPECT_EQ(service_of("garbage\n::\n"), "");
}

TEST(Own, AnSshConnectionIsReadOrRefused) {
  const auto login = parse_ssh_connection("fe80::1%eth0 51000 fe80::2 22");
  ASSERT_TRUE(login);
  EXPECT_EQ(to_string(login->remote), "[fe80::1]:51000");
  EXPECT_EQ(to_string(login->local), "[fe80::2]:22");
  for (const char* wrong :
       {"", "a b c d", "10.0.0.1 1 10.0.0.2", "10.0.0.1 0 10.0.0.2 22", "10.0.0.1 1x 10.0.0.2 22"}) {
    EXPECT_FALSE(parse_ssh_connection(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace sockleak::act
