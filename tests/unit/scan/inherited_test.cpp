#include "scan/inherited.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sockleak {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint64_t kServers = 11, kJobs = 22;  // credentials

/// A listener that the server 800 opened and the job 900 keeps; the server has ended.
Snapshot look() {
  Snapshot snapshot;
  snapshot.every_task = true;
  ScanSocket& socket = snapshot.sockets.emplace_back();
  socket.cookie = SocketId{1};
  socket.state = TcpState::kListen;
  socket.addresses.protocol = Protocol::kTcp;
  socket.credentials = kServers;
  socket.uid = 1000;
  socket.holders.push_back({Via::kDescriptor, Pid{900}, Pid{900}, Fd{3}, false, false, "sleep", 2});
  ScanTask& job = snapshot.tasks.emplace_back();
  job.pid = job.tid = Pid{900};
  job.credentials = kJobs;
  job.executed = true;
  return snapshot;
}

std::vector<SocketId> found(const Snapshot& snapshot, std::uint32_t uid = 1000) {
  return inherited_listeners(snapshot, [uid](Pid) { return std::optional(uid); });
}

TEST(Inherited, IsAListenerThatAJobKeeps) {
  EXPECT_THAT(found(look()), ElementsAre(SocketId{1}));
}

TEST(Inherited, IsNoneWhoseCreatorLives) {
  Snapshot snapshot = look();
  ScanTask server = snapshot.tasks[0];
  server.pid = server.tid = Pid{800};
  server.credentials = kServers;
  snapshot.tasks.push_back(server);
  EXPECT_THAT(found(snapshot), IsEmpty());
  snapshot.tasks.back().ended = true;
  EXPECT_THAT(found(snapshot), ElementsAre(SocketId{1})) << "a zombie accepts nothing";
}

TEST(Inherited, IsNoneThatSomebodyWaitsOn) {
  Snapshot snapshot = look();
  snapshot.sockets[0].awaited = true;
  EXPECT_THAT(found(snapshot), IsEmpty());
}

TEST(Inherited, IsNoneOfAServerThatWentIntoTheBackground) {
  Snapshot snapshot = look();
  snapshot.tasks[0].executed = false;
  EXPECT_THAT(found(snapshot), IsEmpty());
}

TEST(Inherited, IsNoneOfAServerThatGaveUpItsRights) {
  EXPECT_THAT(found(look(), 33), IsEmpty());
}

TEST(Inherited, IsNoneThatAnybodyHoldsOnPurpose) {
  Snapshot snapshot = look();
  snapshot.sockets[0].holders.push_back(snapshot.sockets[0].holders[0]);
  snapshot.sockets[0].holders[1].close_on_exec = true;
  EXPECT_THAT(found(snapshot), IsEmpty());
}

TEST(Inherited, IsNotGuessedWhereProcessesAreOutOfSight) {
  Snapshot snapshot = look();
  snapshot.every_task = false;
  EXPECT_THAT(found(snapshot), IsEmpty());
}

}  // namespace
}  // namespace sockleak
