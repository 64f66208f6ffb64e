#include "app/port_use.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/app/told_story.hpp"

namespace sockleak {
namespace {

using ::testing::IsEmpty;

ScanSocket connected(std::uint64_t cookie, std::uint16_t port, std::uint8_t to) {
  ScanSocket socket;
  socket.cookie = SocketId{cookie};
  socket.state = TcpState::kEstablished;
  socket.addresses = {{Family::kInet, {10, 0, 0, 1}, port}, {Family::kInet, {10, 0, 0, to}, 5432}, Protocol::kTcp};
  socket.netns = NetnsId{7};
  socket.has_socket = socket.has_file = socket.has_port = true;
  return socket;
}

Snapshot look() {
  Snapshot snapshot;
  NetworkNamespace facts;
  facts.id = NetnsId{7};
  facts.first_port = 40000;
  facts.last_port = 40009;
  snapshot.namespaces.push_back(facts);
  for (std::uint16_t i = 0; i < 6; ++i)
    snapshot.sockets.push_back(connected(i + 1U, static_cast<std::uint16_t>(40000 + i), 2));
  snapshot.sockets.push_back(connected(100, 40007, 3));  // somebody else's, elsewhere
  return snapshot;
}

TEST(PortUse, IsOfDestinationsThatTrackedSocketsGoTo) {
  test::EventBuilder story;
  story.session_begins().stack(100, {0x10, 0x20}).opens(test::process(812, "orders"), 3, 100);
  test::ToldStory told(story);
  const std::vector<ReportPortUse> use = port_use(look(), told.pipeline.tracker());
  ASSERT_EQ(use.size(), 1U);
  EXPECT_EQ(use[0].netns, 7U);
  EXPECT_EQ(use[0].local_address, "10.0.0.1");
  EXPECT_EQ(use[0].remote_address, "10.0.0.2");
  EXPECT_EQ(use[0].remote_port, 5432);
  EXPECT_EQ(use[0].used, 6U) << "whoever uses them";
  EXPECT_EQ(use[0].range, 10U);
  EXPECT_DOUBLE_EQ(use[0].percent(), 60);
}

TEST(PortUse, OfNobodyIsNone) {
  test::ToldStory told(test::EventBuilder().session_begins());
  EXPECT_THAT(port_use(look(), told.pipeline.tracker()), IsEmpty());
}

}  // namespace
}  // namespace sockleak
