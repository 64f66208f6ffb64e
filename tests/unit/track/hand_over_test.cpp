// How a socket came into other hands, as far as forks, execs and receptions tell.
#include "track/hand_over.hpp"

#include <gtest/gtest.h>

#include "support/tracked_story.hpp"

namespace sockleak {
namespace {

using namespace std::chrono_literals;
using test::EventBuilder;
using test::TrackedStory;

class HandOverTest : public ::testing::Test {
 protected:
  HandOverTest() { story.session_begins(); }

  [[nodiscard]] HandOver to(const test::Actor& holder, std::uint64_t cookie = 7) const {
    const TrackedStory told(story);
    const SocketRecord* socket = told.socket(cookie);
    EXPECT_NE(socket, nullptr);
    return socket == nullptr ? HandOver::kNone : hand_over_to(holder.process(), *socket, told.tracker().processes());
  }

  const test::Actor app = test::process(812, "orders");
  const test::Actor child = test::process(900, "orders");
  const test::Actor grandchild = test::process(950, "sh");
  const test::Actor stranger = test::process(2000, "proxy");
  EventBuilder story;
};

TEST_F(HandOverTest, TheCreatorWasHandedNothing) {
  story.opens(app, 7);
  EXPECT_EQ(to(app), HandOver::kNone);
}

TEST_F(HandOverTest, AProgramThatWasExecutedSinceIsNotTheOneThatOpened) {
  story.after(1s).execs(app).after(1s).opens(app, 7);
  EXPECT_EQ(to(app), HandOver::kNone);
  story.after(1s).execs(app);
  EXPECT_EQ(to(app), HandOver::kExec);
}

TEST_F(HandOverTest, AChildInheritsWhatWasOpenAtTheFork) {
  story.opens(app, 7).after(1ms).forks(app, child);
  EXPECT_EQ(to(child), HandOver::kFork);
  story.after(1ms).execs(child);
  EXPECT_EQ(to(child), HandOver::kForkExec);
}

TEST_F(HandOverTest, AGrandchildInheritsThroughItsParent) {
  story.opens(app, 7).after(1ms).forks(app, child).after(1ms).forks(child, grandchild);
  EXPECT_EQ(to(grandchild), HandOver::kFork);
  // What the parent executed after the fork is not the grandchild's doing.
  story.after(1ms).execs(child);
  EXPECT_EQ(to(grandchild), HandOver::kFork);
  story.after(1ms).execs(grandchild);
  EXPECT_EQ(to(grandchild), HandOver::kForkExec);
}

TEST_F(HandOverTest, WhatWasExecutedOnTheWayCounts) {
  story.opens(app, 7).after(1ms).forks(app, child).after(1ms).execs(child).after(1ms).forks(child, grandchild);
  EXPECT_EQ(to(grandchild), HandOver::kForkExec);
}

TEST_F(HandOverTest, NobodyInheritsWhatWasOpenedAfterTheFork) {
  story.forks(app, child).after(1ms).opens(app, 7).gets(child, 7);
  EXPECT_EQ(to(child), HandOver::kUnknown);
}

TEST_F(HandOverTest, AParentDoesNotInheritFromItsChild) {
  story.forks(app, child).after(1ms).opens(child, 7).gets(app, 7);
  EXPECT_EQ(to(app), HandOver::kUnknown);
}

TEST_F(HandOverTest, OneTableForBothNeedsNoHandOver) {
  story.shares_files(app, child).after(1ms).opens(app, 7);
  EXPECT_EQ(to(child), HandOver::kSharedFiles);
}

TEST_F(HandOverTest, ReceptionsAreToldApart) {
  story.opens(app, 7).receives(stranger, 7, SL_RECEIVED_MESSAGE);
  EXPECT_EQ(to(stranger), HandOver::kScmRights);
  story.opens(app, 8).receives(stranger, 8, SL_RECEIVED_PIDFD);
  EXPECT_EQ(to(stranger, 8), HandOver::kPidfdGetfd);
}

TEST_F(HandOverTest, TheReceiversChildInheritsFromIt) {
  const test::Actor heir = test::process(2100, "proxy");
  story.opens(app, 7).after(1ms).receives(stranger, 7, SL_RECEIVED_MESSAGE).after(1ms).forks(stranger, heir);
  EXPECT_EQ(to(heir), HandOver::kFork);
}

TEST_F(HandOverTest, AWayThatNobodySawIsUnknown) {
  story.opens(app, 7).gets(stranger, 7);
  EXPECT_EQ(to(stranger), HandOver::kUnknown);
}

TEST_F(HandOverTest, OfASocketFromBeforeTheOldestHolderIsTheOwner) {
  story.held_before(child, 7).gets(app, 7).snapshot().after(1s);
  EXPECT_EQ(owner_of(*TrackedStory(story).socket(7)), app.process());
  // Who holds it later is not.
  story.gets(test::process(3), 7).snapshot();
  EXPECT_EQ(owner_of(*TrackedStory(story).socket(7)), app.process());
  story.forks(app, grandchild).snapshot();
  EXPECT_EQ(to(grandchild), HandOver::kFork);
  EXPECT_EQ(to(child), HandOver::kUnknown);
}

TEST_F(HandOverTest, AReusedPidIsAnotherProcess) {
  test::Actor reused = child;
  reused.start_ns += 1;
  story.opens(app, 7).after(1ms).forks(app, child).exits(child);
  EXPECT_EQ(to(reused), HandOver::kUnknown);
}

TEST_F(HandOverTest, ForksInACircleEnd) {
  story.forks(app, child).forks(child, app).opens(stranger, 7).gets(child, 7);
  EXPECT_EQ(to(child), HandOver::kUnknown);
}

TEST_F(HandOverTest, KeepersThatAreNoDescriptorsAreHoldersOfTheLastSnapshot) {
  story.opens(app, 7).snapshot().kept_by(app, 7, Via::kRingSlot, 3).cause(7, Cause::kRingSlot, "slot 3");
  const TrackedStory told(story);
  const SocketRecord* socket = told.socket(7);
  ASSERT_EQ(socket->holders.size(), 2U);
  EXPECT_EQ(socket->holders[1].via, Via::kRingSlot);
  EXPECT_EQ(socket->holders[1].fd, Fd{3});
  ASSERT_NE(told.tracker().plight(SocketId{7}), nullptr);
  EXPECT_EQ(told.tracker().plight(SocketId{7})->cause, Cause::kRingSlot);
  EXPECT_EQ(told.tracker().plight(SocketId{7})->evidence, "slot 3");
  story.snapshot();
  const TrackedStory later(story);
  EXPECT_EQ(later.socket(7)->holders.size(), 1U);
  EXPECT_EQ(later.tracker().plight(SocketId{7}), nullptr);
}

TEST_F(HandOverTest, AKeeperConfirmsASocketThatNoTableLists) {
  story.creates(app, 7).closes(app, 7);
  EXPECT_EQ(TrackedStory(story).socket(7), nullptr);
  story.kept_by(app, 7, Via::kRingSlot, 3);  // closed meanwhile: not raised from the dead
  EXPECT_EQ(TrackedStory(story).socket(7), nullptr);
}

}  // namespace
}  // namespace sockleak
