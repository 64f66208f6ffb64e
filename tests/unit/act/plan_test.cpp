// Plans over tables made by hand: what is allowed, what is refused and why, and how results are told apart.
#include "act/plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "act/carry_out.hpp"
#include "act/own.hpp"
#include "act/stop_process.hpp"
#include "unit/act/tables.hpp"
#include "unit/process/temporary_tree.hpp"

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
  EXPECT_THAT(only_step(tcp(2, TcpState::kListen), guards).why, HasSubstr("listens"));
}

TEST(Plan, WhatIsNotProvenOrIsNoLeakIsRefused) {
  const std::map<Cause, const char*> refusals{{Cause::kHidden, "nobody is seen"}, {Cause::kTimeWait, "no leak"},
                                              {Cause::kRequest, "half-open"}, {Cause::kKernel, "kernel"},
                                              {Cause::kMptcpSubflow, "MPTCP"},     {Cause::kUnknown, "nobody is seen"},
                                              {Cause::kOrphan, "could not"}};
  for (const auto& [cause, words] : refusals) {
    const Step step = only_step(tcp(1, TcpState::kEstablished, cause));
    EXPECT_FALSE(step.allowed) << sockleak::to_string(cause);
    EXPECT_THAT(step.why, HasSubstr(words)) << sockleak::to_string(cause);
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
  for (const Cause cause : {Cause::kKernel, Cause::kMptcpSubflow, Cause::kHidden, Cause::kUnknown}) {
    EXPECT_FALSE(only_step(tcp(1, TcpState::kEstablished, cause), guards).allowed) << sockleak::to_string(cause);
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

TEST(Plan, WhatIsProvenToBeAProgramsIsAllowedAndSaysWhatStays) {
  const std::map<Cause, const char*> stays{{Cause::kInFlight, "message"}, {Cause::kRingSlot, "slot"},
                                           {Cause::kMapping, "munmap"},   {Cause::kStuckExit, "exit"},
                                           {Cause::kRingRequest, ""},     {Cause::kBlockedCall, ""}};
  for (const auto& [cause, words] : stays) {
    const Step step = only_step(tcp(1, TcpState::kEstablished, cause));
    EXPECT_TRUE(step.allowed) << sockleak::to_string(cause);
    EXPECT_THAT(step.stays, HasSubstr(words));
    EXPECT_EQ(step.owner_sees.empty(), cause == Cause::kStuckExit) << sockleak::to_string(cause);
    Guards guards;
    guards.method = Method::kShutdown;
    EXPECT_THAT(only_step(tcp(1, TcpState::kEstablished, cause), guards).why, HasSubstr("no process has a descriptor"));
  }
}

TEST(Plan, ThreadsHoldToo) {
  for (const Cause cause : {Cause::kZombieLeader, Cause::kUnsharedFiles}) {
    const Step step = only_step(tcp(1, TcpState::kEstablished, cause));
    EXPECT_TRUE(step.allowed);
    EXPECT_STREQ(cause_word(step.socket), "held");
    EXPECT_THAT(step.stays, HasSubstr("descriptor"));
  }
}

TEST(Plan, KindsThatTheKernelDoesNotDestroyAreRefused) {
  SocketFacts socket = tcp(1, TcpState::kEstablished);
  socket.addresses.protocol = Protocol::kMptcp;
  EXPECT_THAT(only_step(socket).why, HasSubstr("--shutdown"));
  Guards guards;
  guards.method = Method::kShutdown;
  EXPECT_TRUE(only_step(socket, guards).allowed);
  socket.addresses.protocol = Protocol::kRaw;
  EXPECT_THAT(only_step(socket).why, HasSubstr("raw"));
  EXPECT_THAT(only_step(tcp(1, TcpState::kClose)).why, HasSubstr("close()"));
  socket = tcp(1, TcpState::kEstablished);
  socket.mptcp = true;
  EXPECT_THAT(only_step(socket).why, HasSubstr("MPTCP"));
}

TEST(Plan, WhoIsStoppedTakesEverythingAlong) {
  Guards guards;
  guards.stops_holders = true;
  for (const TcpState state : {TcpState::kListen, TcpState::kClose, TcpState::kEstablished}) {
    const Step step = only_step(tcp(1, state), guards);
    EXPECT_TRUE(step.allowed);
    EXPECT_THAT(step.stays, IsEmpty());
  }
  guards.own = {Pid{812}};
  EXPECT_THAT(only_step(tcp(1, TcpState::kListen), guards).why, HasSubstr("--even-mine"));
  guards.own.clear();
  EXPECT_FALSE(only_step(tcp(1, TcpState::kEstablished, Cause::kKernel), guards).allowed);
  SocketFacts first = tcp(1, TcpState::kListen);
  first.holders.front().pid = Pid{1};
  EXPECT_FALSE(only_step(first, guards).allowed) << "the first process is never stopped";
}

TEST(Plan, ShutdownNeedsAHolder) {
  Guards guards;
  guards.method = Method::kShutdown;
  EXPECT_TRUE(only_step(tcp(1, TcpState::kEstablished), guards).allowed);
  EXPECT_FALSE(only_step(tcp(1, TcpState::kEstablished, Cause::kAcceptQueue), guards).allowed);
}

/// A kernel that answers as told.
class FakeKernel final : public KernelSockets {
 public:
  Result<std::vector<SocketFacts>> list() override { return after; }
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
      {tcp(1, TcpState::kEstablished), tcp(2, TcpState::kListen), tcp(3, TcpState::kEstablished),
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

TEST(Own, WhoeverLooksThroughTmuxIsFoundToo) {
  const TemporaryTree tree;
  const auto process = [&](int pid, int parent, const std::string& comm, const std::string& environment) {
    const std::string directory = std::to_string(pid);
    tree.write(directory + "/comm", comm + "\n");
    tree.write(directory + "/stat", directory + " (" + comm + ") S " + std::to_string(parent) + " 1 1 0");
    tree.write(directory + "/environ", environment);
  };
  process(1, 0, "init", "");
  process(10, 1, "tmux: server", std::string("SSH_CONNECTION=10.0.0.9 1000 10.0.0.1 22\0", 42));  // a login long gone
  process(11, 10, "bash", "");
  process(12, 11, "sockleak", "");
  process(20, 1, "sshd", "");
  process(21, 20, "bash", std::string("SSH_CONNECTION=10.0.0.9 2000 10.0.0.1 22\0", 42));
  process(22, 21, "tmux: client", "");
  process(30, 1, "postgres", "");
  const Own own = find_own(tree.root(), Pid{12});
  EXPECT_THAT(own.processes, testing::UnorderedElementsAre(Pid{12}, Pid{11}, Pid{10}, Pid{22}, Pid{21}, Pid{20}));
  std::vector<int> ports;
  for (const Addresses& login : own.login) ports.push_back(login.remote.port);
  EXPECT_THAT(ports, testing::UnorderedElementsAre(1000, 2000));
}

}  // namespace
}  // namespace sockleak::act
