#include <gmock/gmock.h>

#include "scan/cause.hpp"
#include "scan/ports.hpp"

namespace sockleak {
namespace {

using namespace std::chrono_literals;

Endpoint v4(std::uint8_t last, std::uint16_t port) { return {Family::kInet, {10, 0, 0, last}, port}; }

ScanSocket tcp(std::uint16_t local, std::uint16_t remote, TcpState state = TcpState::kEstablished) {
  ScanSocket socket;
  socket.cookie = SocketId{1000U + local};
  socket.state = state;
  socket.addresses = {v4(1, local), v4(2, remote), Protocol::kTcp};
  socket.netns = NetnsId{7};
  socket.has_socket = socket.has_file = socket.has_port = true;
  return socket;
}

Snapshot with(std::vector<ScanSocket> sockets) {
  Snapshot snapshot;
  snapshot.through_bpf = true;
  snapshot.sockets = std::move(sockets);
  NetworkNamespace facts;
  facts.id = NetnsId{7};
  facts.first_port = 40000;
  facts.last_port = 40009;
  snapshot.namespaces.push_back(facts);
  return snapshot;
}

Cause cause_of(Snapshot snapshot) {
  find_causes(snapshot);
  return snapshot.sockets.front().cause;
}

TEST(Cause, AnUnacceptedConnectionNeedsAListenerWithABacklog) {
  ScanSocket child = tcp(80, 5000);
  child.has_socket = child.has_file = false;
  ScanSocket listener = tcp(80, 0, TcpState::kListen);
  listener.addresses.local.address = {};
  listener.ack_backlog = 1;
  EXPECT_EQ(cause_of(with({child, listener})), Cause::kAcceptQueue);
  listener.ack_backlog = 0;
  EXPECT_EQ(cause_of(with({child, listener})), Cause::kUnknown);
  listener.ack_backlog = 1;
  listener.netns = NetnsId{8};
  EXPECT_EQ(cause_of(with({child, listener})), Cause::kUnknown);
}

TEST(Cause, ADeadSocketIsAnOrphanAndAKernelSocketIsTheKernels) {
  ScanSocket socket = tcp(80, 5000, TcpState::kFinWait1);
  socket.has_socket = socket.has_file = false;
  socket.dead = true;
  EXPECT_EQ(cause_of(with({socket})), Cause::kOrphan);
  socket = tcp(80, 5000);
  socket.has_file = false;
  EXPECT_EQ(cause_of(with({socket})), Cause::kKernel);
}

TEST(Cause, ASubflowBelongsToWhoeverHoldsItsMptcpSocket) {
  ScanSocket subflow = tcp(80, 5000);
  subflow.kernel = subflow.mptcp = true;
  subflow.inode = 9;
  EXPECT_EQ(cause_of(with({subflow})), Cause::kMptcpSubflow);
  ScanSocket connection = subflow;
  connection.cookie = SocketId{77};
  connection.kernel = connection.mptcp = false;
  connection.addresses.protocol = Protocol::kMptcp;
  connection.holders.push_back({Via::kDescriptor, Pid{5}, Pid{5}, Fd{3}, false, false, "x", 2});
  Snapshot snapshot = with({subflow, connection});
  EXPECT_EQ(cause_of(snapshot), Cause::kNone);
  find_causes(snapshot);
  EXPECT_EQ(snapshot.sockets[0].ownerless, std::optional(false));
  EXPECT_EQ(snapshot.sockets[0].holders, connection.holders);
  snapshot.sockets[0].mptcp = false;  // a listener's is not marked as such
  EXPECT_EQ(cause_of(snapshot), Cause::kNone);
}

TEST(Cause, AStuckExitIsProvenByTheCredentialsOfATaskWithoutFiles) {
  ScanSocket socket = tcp(80, 5000);
  socket.credentials = 77;
  Snapshot snapshot = with({socket});
  ScanTask task;
  task.credentials = 77;
  task.exiting = true;
  snapshot.tasks = {task};
  EXPECT_EQ(cause_of(snapshot), Cause::kStuckExit);
  snapshot.tasks[0].files = 5;  // still has its table: not past exit_files()
  EXPECT_EQ(cause_of(snapshot), Cause::kUnknown);
  snapshot.tasks[0].files = 0;
  snapshot.tasks[0].ended = true;
  EXPECT_EQ(cause_of(snapshot), Cause::kUnknown);
}

TEST(Cause, WithoutASightOfEveryProcessNothingIsCalledOwnerless) {
  Snapshot snapshot = with({tcp(80, 5000)});
  snapshot.hidden_processes = 1;
  find_causes(snapshot);
  EXPECT_EQ(snapshot.sockets[0].cause, Cause::kHidden);
  EXPECT_EQ(snapshot.sockets[0].ownerless, std::nullopt);
  EXPECT_FALSE(counts_as_ownerless(snapshot.sockets[0]));
}

TEST(Cause, ADescriptorMakesAnOwner) {
  ScanSocket socket = tcp(80, 5000);
  socket.holders.push_back({Via::kInFlight, Pid{1}, Pid{1}, Fd{0}, false, false, "x", 1});
  EXPECT_EQ(cause_of(with({socket})), Cause::kInFlight);
  socket.holders.push_back({Via::kDescriptor, Pid{5}, Pid{5}, Fd{3}, false, false, "x", 2});
  EXPECT_EQ(cause_of(with({socket})), Cause::kNone);
  socket.holders.back().tid = Pid{6};
  EXPECT_EQ(cause_of(with({socket})), Cause::kUnsharedFiles);
  socket.holders.back().leader_ended = true;
  EXPECT_EQ(cause_of(with({socket})), Cause::kZombieLeader);
}

TEST(Ports, ABoundPortIsLostForEverybodyAConnectedOneForItsDestination) {
  ScanSocket bound = tcp(40001, 7001);
  bound.blocks_port = true;
  const auto ports = measure_ports(with({tcp(40000, 7001), bound, tcp(40002, 7002), tcp(50000, 7001)}));
  ASSERT_EQ(ports.size(), 1U);
  EXPECT_EQ(ports[0].range, 10U);
  EXPECT_EQ(ports[0].blocked.size(), 1U);
  ASSERT_EQ(ports[0].destinations.size(), 2U);
  for (const PortUse& use : ports[0].destinations) EXPECT_EQ(use.used, 2U) << use.remote.port;
  ASSERT_EQ(ports[0].binds.size(), 1U);
  EXPECT_EQ(ports[0].binds[0].used, 3U);
}

TEST(Ports, ATimeWaitThatMayBeReusedIsFree) {
  ScanSocket ending = tcp(40000, 7001, TcpState::kTimeWait);
  ending.mini = true;
  ending.time_wait_left = 58s;
  Snapshot snapshot = with({ending});
  EXPECT_EQ(measure_ports(snapshot)[0].destinations.size(), 1U);  // tw_reuse 2, not loopback
  snapshot.namespaces[0].tw_reuse = 1;
  EXPECT_EQ(measure_ports(snapshot)[0].destinations.size(), 0U);
  snapshot.sockets[0].time_wait_left = 59500ms;  // entered half a second ago
  EXPECT_EQ(measure_ports(snapshot)[0].destinations.size(), 1U);
  snapshot.sockets[0].time_wait_left = 58s;
  snapshot.sockets[0].timestamps = false;
  EXPECT_EQ(measure_ports(snapshot)[0].destinations.size(), 1U);
}

TEST(Ports, ConnectionsOfAListenerAreNoDestination) {
  ScanSocket listener = tcp(40005, 0, TcpState::kListen);
  listener.blocks_port = true;
  ScanSocket accepted = tcp(40005, 9);
  accepted.blocks_port = true;
  const auto ports = measure_ports(with({listener, accepted}));
  EXPECT_TRUE(ports[0].destinations.empty());
  EXPECT_EQ(ports[0].blocked.size(), 1U);
}

TEST(Ports, GrowthTellsWhenTheyAreUsedUp) {
  auto now = measure_ports(with({tcp(40000, 7001), tcp(40001, 7001)}));
  estimate_exhaustion(now, measure_ports(with({tcp(40000, 7001)})), 2s);
  ASSERT_TRUE(now[0].destinations[0].seconds_left.has_value());
  EXPECT_DOUBLE_EQ(*now[0].destinations[0].seconds_left, 16.0);
}

}  // namespace
}  // namespace sockleak
