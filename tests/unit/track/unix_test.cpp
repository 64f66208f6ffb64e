// Unix sockets in the table: their numbers, names and closes that nobody saw.
#include <gtest/gtest.h>

#include "support/tracked_story.hpp"

namespace sockleak {
namespace {

using namespace std::chrono_literals;
using test::EventBuilder;
using test::TrackedStory;

constexpr std::uint64_t kMakePath = 0x11;
constexpr std::uint64_t kClosePath = 0x22;

class UnixTest : public ::testing::Test {
 protected:
  UnixTest() { story.stack(kMakePath, {0x1000}).stack(kClosePath, {0x2000}).session_begins(); }
  const test::Actor app = test::process(812, "orders");
  EventBuilder story;
};

TEST_F(UnixTest, ASocketIsOfItsOwnProtocolAndType) {
  story.creates(app, 7, kMakePath, Protocol::kUnix);
  const TrackedStory told(story);
  ASSERT_NE(told.socket(7), nullptr);
  EXPECT_EQ(told.socket(7)->addresses.protocol, Protocol::kUnix);
  EXPECT_EQ(told.socket(7)->addresses.type, SocketType::kStream);
  EXPECT_EQ(told.socket(7)->origin, Origin::kSocket);
  ASSERT_NE(told.site(kMakePath, Origin::kSocket, Protocol::kUnix), nullptr);
}

TEST_F(UnixTest, BothOfAPairAreOfOneSite) {
  story.pairs(app, 7, 8, kMakePath).closes(app, 8, kClosePath).snapshot();
  const TrackedStory told(story);
  const Site* site = told.site(kMakePath, Origin::kSocketPair, Protocol::kUnix);
  ASSERT_NE(site, nullptr);
  EXPECT_EQ(site->created, 2U);
  EXPECT_EQ(site->closed, 1U);
  EXPECT_STREQ(to_string(told.socket(7)->origin), "socketpair");
}

TEST_F(UnixTest, ConnectingIsNotToldApart) {
  story.creates(app, 7, kMakePath, Protocol::kUnix).snapshot();
  story.pairs(app, 8, 9);  // established from the start
  const TrackedStory told(story);
  EXPECT_EQ(told.socket(7)->origin, Origin::kSocket);
  EXPECT_EQ(told.socket(8)->origin, Origin::kSocketPair);
}

TEST_F(UnixTest, NamesAreKeptAsTheyAreWritten) {
  story.pairs(app, 7, 8).creates(app, 9, kMakePath, Protocol::kUnix);
  story.named(7, {}, {}, 8).named(9, std::string("\0bus", 4), std::string("/run/x.sock\0", 12));
  const TrackedStory told(story);
  ASSERT_NE(told.tracker().unix_name(SocketId{7}), nullptr);
  EXPECT_EQ(told.tracker().unix_name(SocketId{7})->peer, SocketId{8});
  EXPECT_EQ(told.tracker().unix_name(SocketId{9})->path, "@bus");
  EXPECT_EQ(told.tracker().unix_name(SocketId{9})->peer_path, "/run/x.sock");
  EXPECT_EQ(told.tracker().unix_name(SocketId{8}), nullptr);
}

TEST_F(UnixTest, NamesGoWithTheSocketUnlessItsProcessLeftIt) {
  story.creates(app, 7, 0, Protocol::kUnix).creates(app, 8, 0, Protocol::kUnix).named(7, "/a").named(8, "/b");
  story.closes(app, 7).closes(app, 8, 0, CloseHow::kExit);
  const TrackedStory told(story);
  EXPECT_EQ(told.tracker().unix_name(SocketId{7}), nullptr);
  ASSERT_NE(told.tracker().unix_name(SocketId{8}), nullptr);
  EXPECT_EQ(told.tracker().unix_name(SocketId{8})->path, "/b");
}

TEST_F(UnixTest, AnUnseenCloseHasNoTimeAndNoPlace) {
  story.creates(app, 7, kMakePath, Protocol::kUnix).after(5s).found_gone(7);
  const TrackedStory told(story);
  const Site* site = told.site(kMakePath, Origin::kSocket, Protocol::kUnix);
  EXPECT_EQ(told.socket(7), nullptr);
  EXPECT_EQ(site->closed, 1U);
  EXPECT_EQ(site->live, 0U);
  EXPECT_EQ(site->lifetimes.count(), 0U);
  EXPECT_EQ(site->open_at_exit, 0U);
  ASSERT_EQ(site->close_paths.size(), 1U);
  EXPECT_EQ(site->close_paths.begin()->first, (ClosePath{CloseHow::kUnseen, kNoStack}));
  EXPECT_TRUE(told.tracker().counters().complete());
}

}  // namespace
}  // namespace sockleak
