// Stories of sockets, and what the table and the sites say afterwards.
#include "track/tracker.hpp"

#include <gtest/gtest.h>

#include "support/tracked_story.hpp"

namespace sockleak {
namespace {

using namespace std::chrono_literals;
using test::EventBuilder;
using test::TrackedStory;

constexpr std::uint64_t kConnectPath = 0x11;
constexpr std::uint64_t kAcceptPath = 0x22;
constexpr std::uint64_t kListenPath = 0x33;
constexpr std::uint64_t kClosePath = 0x44;

class TrackerTest : public ::testing::Test {
 protected:
  TrackerTest() {
    story.stack(kConnectPath, {0x1000}).stack(kAcceptPath, {0x2000}).stack(kListenPath, {0x3000});
    story.stack(kClosePath, {0x4000}).session_begins();
  }
  const test::Actor app = test::process(812, "orders");
  const test::Actor worker = test::thread(app, 815, "worker-3");
  EventBuilder story;
};

TEST_F(TrackerTest, ACreatedSocketKnowsWhoAndWhere) {
  story.after(1s).creates(worker, 7, kConnectPath);
  const TrackedStory told(story);
  const SocketRecord* socket = told.socket(7);
  ASSERT_NE(socket, nullptr);
  EXPECT_EQ(socket->origin, Origin::kSocket);
  EXPECT_EQ(socket->creator.process, app.process());
  EXPECT_EQ(socket->creator.tid, Pid{815});
  EXPECT_EQ(socket->comm, "worker-3");
  EXPECT_EQ(socket->created, story.now());
  EXPECT_EQ(socket->stack, told.stacks().find(StackHash{kConnectPath}));
  EXPECT_EQ(socket->stack_end, WalkEnd::kComplete);
  EXPECT_EQ(socket->netns, NetnsId{EventBuilder::kNetns});
  EXPECT_EQ(told.tracker().totals().created, 1U);
  EXPECT_EQ(told.site(kConnectPath, Origin::kSocket)->live, 1U);
}

TEST_F(TrackerTest, ConnectingMovesTheSocketToAnotherSite) {
  story.opens(app, 7, kConnectPath);
  const TrackedStory told(story);
  EXPECT_EQ(told.socket(7)->origin, Origin::kConnect);
  EXPECT_EQ(to_string(told.socket(7)->addresses.remote), "10.0.0.9:5432");
  EXPECT_EQ(told.site(kConnectPath, Origin::kConnect)->created, 1U);
  EXPECT_EQ(told.site(kConnectPath, Origin::kConnect)->live, 1U);
  EXPECT_EQ(told.site(kConnectPath, Origin::kSocket)->created, 0U);
  EXPECT_EQ(told.site(kConnectPath, Origin::kSocket)->live, 0U);
  EXPECT_EQ(told.tracker().totals().created, 1U);
}

TEST_F(TrackerTest, SynSentAloneMakesAConnect) {
  story.creates(app, 7, kConnectPath).state(7, TcpState::kSynSent);
  EXPECT_EQ(TrackedStory(story).socket(7)->origin, Origin::kConnect);
}

/// As the kernel side tells it: without the beginning.
TEST_F(TrackerTest, ARefusedConnectIsOne) {
  story.creates(app, 7, kConnectPath).state(7, TcpState::kSynSent);
  const std::size_t refusal = story.items().size();
  story.state(7, TcpState::kClose);
  EventBuilder untold;
  untold.creates(app, 7, kConnectPath);
  TrackedStory told(untold);
  told.hear(story, refusal);
  EXPECT_EQ(told.socket(7)->origin, Origin::kConnect);
  EXPECT_EQ(told.socket(7)->state, TcpState::kClose);
  EXPECT_EQ(told.tracker().totals().created, 1U);
}

TEST_F(TrackerTest, AListenerStaysASocket) {
  story.creates(app, 2, kListenPath).listens(2);
  const TrackedStory told(story);
  EXPECT_EQ(told.socket(2)->origin, Origin::kSocket);
  EXPECT_EQ(told.socket(2)->state, TcpState::kListen);
}

TEST_F(TrackerTest, AConnectionInTheQueueIsNobodysYet) {
  story.creates(app, 2, kListenPath).listens(2).arrives(3, 2);
  const TrackedStory told(story);
  const SocketRecord* child = told.socket(3);
  ASSERT_NE(child, nullptr);
  EXPECT_TRUE(child->unaccepted);
  EXPECT_EQ(child->origin, Origin::kAccept);
  EXPECT_EQ(child->creator.process.pid, Pid{0});
  EXPECT_EQ(child->listener, SocketId{2});
  EXPECT_EQ(child->listener_stack, told.stacks().find(StackHash{kListenPath}));
  EXPECT_EQ(told.tracker().totals().created, 1U);  // the listener
  EXPECT_EQ(told.site(0, Origin::kAccept), nullptr);
}

TEST_F(TrackerTest, WhatIsClosedWasAcceptedAlthoughNobodySawIt) {
  story.creates(app, 2, kListenPath).listens(2).arrives(3, 2).after(1ms).closes(app, 3);
  const TrackedStory told(story);
  EXPECT_EQ(told.tracker().totals().created, 2U);
  EXPECT_EQ(told.tracker().totals().closed, 1U);
  EXPECT_EQ(told.tracker().counters().get(Counter::accepts_unseen), 1U);
  ASSERT_NE(told.site(0, Origin::kAccept), nullptr);
  EXPECT_EQ(told.site(0, Origin::kAccept)->closed, 1U);
}

TEST_F(TrackerTest, WhatOnlyTheExitClosesIsLeftOpenByWhoLivedBeforeItArrived) {
  const test::Actor young = {901, 901, 1ULL << 60, "late"};
  story.creates(app, 2, kListenPath).listens(2).after(1s).arrives(3, 2).arrives(4, 2).after(1ms);
  story.closes(app, 3, 0, CloseHow::kExit).closes(young, 4, 0, CloseHow::kExit);
  const TrackedStory told(story);
  EXPECT_EQ(told.tracker().totals().open_at_exit, 1U) << "a younger process may have inherited it";
  EXPECT_EQ(told.tracker().totals().closed, 2U);
}

TEST_F(TrackerTest, AcceptingGivesAConnectionItsCreator) {
  story.creates(app, 2, kListenPath).listens(2).arrives(3, 2).after(2s).accepts(worker, 3, 2, kAcceptPath);
  const TrackedStory told(story);
  const SocketRecord* child = told.socket(3);
  EXPECT_FALSE(child->unaccepted);
  EXPECT_EQ(child->comm, "worker-3");
  EXPECT_EQ(child->created, story.now());
  EXPECT_EQ(child->listener_stack, told.stacks().find(StackHash{kListenPath}));
  EXPECT_EQ(child->state, TcpState::kEstablished);
  EXPECT_EQ(told.site(kAcceptPath, Origin::kAccept)->created, 1U);
  EXPECT_EQ(told.tracker().totals().created, 2U);
}

TEST_F(TrackerTest, AnAcceptOfAnUnknownConnectionIsEnough) {
  story.accepts(app, 3, 2, kAcceptPath);
  const TrackedStory told(story);
  EXPECT_EQ(told.socket(3)->origin, Origin::kAccept);
  EXPECT_EQ(told.socket(3)->state, TcpState::kEstablished);
  EXPECT_EQ(told.site(kAcceptPath, Origin::kAccept)->live, 1U);
}

TEST_F(TrackerTest, AnAcceptWithoutIdentityIsLeftToTheKernelsCounter) {
  story.accepts(app, 0, 2, kAcceptPath);
  const TrackedStory told(story);
  EXPECT_TRUE(told.tracker().sockets().empty());
  EXPECT_TRUE(told.tracker().counters().complete());
}

TEST_F(TrackerTest, AConnectionThatDiesInTheQueueJustDisappears) {
  story.creates(app, 2, kListenPath).listens(2).arrives(3, 2).state(3, TcpState::kClose).destroyed(3);
  const TrackedStory told(story);
  EXPECT_EQ(told.socket(3), nullptr);
  EXPECT_EQ(told.tracker().totals().closed, 0U);
}

TEST_F(TrackerTest, ClosingRemembersWhereHowAndHowLong) {
  story.opens(app, 7, kConnectPath).after(40ms).closes(app, 7, kClosePath);
  const TrackedStory told(story);
  EXPECT_TRUE(told.tracker().sockets().empty());
  const Site* site = told.site(kConnectPath, Origin::kConnect);
  EXPECT_EQ(site->closed, 1U);
  EXPECT_EQ(site->live, 0U);
  EXPECT_EQ(site->lifetimes.longest(), 40ms);
  const ClosePath path{CloseHow::kCall, told.stacks().find(StackHash{kClosePath})};
  EXPECT_EQ(site->close_paths.at(path), 1U);
  EXPECT_EQ(told.tracker().totals().closed, 1U);
}

TEST_F(TrackerTest, WhatTheKernelDoesAfterCloseBringsNoSocketBack) {
  story.opens(app, 7, kConnectPath).closes(app, 7);
  story.state(7, TcpState::kFinWait1).state(7, TcpState::kFinWait2).state(7, TcpState::kClose).destroyed(7);
  const TrackedStory told(story);
  EXPECT_TRUE(told.tracker().sockets().empty());
  EXPECT_EQ(told.tracker().totals().closed, 1U);
}

TEST_F(TrackerTest, AnOrphanInASnapshotBringsNoSocketBack) {
  sl_snapshot_socket orphan{};
  orphan.cookie = 7;
  orphan.dead = 1;
  orphan.state = 4;
  story.opens(app, 7, kConnectPath).closes(app, 7).record(SL_SNAPSHOT_BEGIN, sl_snapshot_mark{});
  story.record(SL_SNAPSHOT_SOCKET, orphan);
  EXPECT_TRUE(TrackedStory(story).tracker().sockets().empty());
}

TEST_F(TrackerTest, AForkKeepsTheSocketOpenUntilTheLastHolderCloses) {
  const test::Actor child = test::process(900, "sh");
  story.opens(app, 7, kConnectPath).forks(app, child).closes(app, 7);
  EXPECT_NE(TrackedStory(story).socket(7), nullptr);
  story.exits(child);
  const TrackedStory told(story);
  EXPECT_EQ(told.socket(7), nullptr);
  const Site* site = told.site(kConnectPath, Origin::kConnect);
  EXPECT_EQ(site->open_at_exit, 0U);  // closed by the end of another process than its creator
  EXPECT_EQ(site->lifetimes.count(), 1U);
}

TEST_F(TrackerTest, WhatItsCreatorLeavesOpenIsKeptAtTheSite) {
  story.creates(app, 2, kListenPath).listens(2).opens(app, 7, kConnectPath).peer_closes(7).snapshot().exits(app);
  const TrackedStory told(story);
  const Site* site = told.site(kConnectPath, Origin::kConnect);
  EXPECT_EQ(site->open_at_exit, 1U);
  EXPECT_EQ(site->listening_at_exit, 0U);
  ASSERT_EQ(site->at_exit.size(), 1U);
  EXPECT_EQ(site->at_exit[0].record.state, TcpState::kCloseWait);
  EXPECT_TRUE(site->at_exit[0].record.holders.empty());
  EXPECT_EQ(site->lifetimes.count(), 0U);
  EXPECT_EQ(site->closed, 1U);
  EXPECT_EQ(told.site(kListenPath, Origin::kSocket)->listening_at_exit, 1U);
  EXPECT_EQ(told.tracker().totals().closed, 2U);
  EXPECT_EQ(told.tracker().totals().open_at_exit, 2U);
  EXPECT_TRUE(told.tracker().sockets().empty());
}

TEST_F(TrackerTest, FewAreKeptAtExitButAllAreCounted) {
  for (std::uint64_t cookie = 1; cookie <= 1500; ++cookie) story.opens(app, cookie, kConnectPath);
  const TrackedStory told(story.exits(app));
  const Site* site = told.site(kConnectPath, Origin::kConnect);
  EXPECT_EQ(site->open_at_exit, 1500U);
  EXPECT_EQ(site->at_exit.size(), Site::kKeptAtExit);
}

TEST_F(TrackerTest, CloseWaitHasABeginningAndAnEnd) {
  story.opens(app, 7, kConnectPath).after(3s).peer_closes(7);
  const KernelTime fin = story.now();
  story.after(5s).snapshot();
  EXPECT_EQ(TrackedStory(story).socket(7)->close_wait_since, fin);
  story.state(7, TcpState::kLastAck);
  EXPECT_EQ(TrackedStory(story).socket(7)->close_wait_since, std::nullopt);
}

TEST_F(TrackerTest, SocketsFromBeforeAreFirstSeenInASnapshot) {
  story.held_before(app, 5, TcpState::kCloseWait, 4).held_before(app, 6).after(1s).snapshot();
  const TrackedStory told(story);
  const SocketRecord* socket = told.socket(5);
  ASSERT_NE(socket, nullptr);
  EXPECT_EQ(socket->origin, Origin::kBeforeAttach);
  EXPECT_EQ(socket->creator.process.pid, Pid{0});
  EXPECT_EQ(socket->created, story.now());
  EXPECT_EQ(socket->close_wait_since, story.now());
  EXPECT_EQ(socket->listener, SocketId{4});
  EXPECT_EQ(told.socket(6)->close_wait_since, std::nullopt);
  EXPECT_EQ(told.tracker().totals().created, 0U);
  EXPECT_EQ(told.site(0, Origin::kBeforeAttach)->created, 2U);
}

TEST_F(TrackerTest, SocketsFromBeforeAreFirstSeenByAChange) {
  story.held_before(app, 5).after(1s).peer_closes(5);
  const TrackedStory told(story);
  EXPECT_EQ(told.socket(5)->origin, Origin::kBeforeAttach);
  EXPECT_EQ(told.socket(5)->close_wait_since, story.now());
  EXPECT_EQ(TrackedStory(story.closes(app, 5)).tracker().totals().closed, 0U);
}

TEST_F(TrackerTest, ACreationToldLateTakesTheSocketOutOfTheOldOnes) {
  story.held_before(app, 7).snapshot();
  sl_socket_created late{};
  late.header.tgid = app.pid;
  late.cookie = 7;
  late.stack = kConnectPath;
  late.tuple.family = 2;
  late.tuple.protocol = 6;
  story.record(SL_SOCKET_CREATED, late).record(SL_SOCKET_CREATED, late);  // the second one says nothing new
  const TrackedStory told(story);
  EXPECT_EQ(told.socket(7)->origin, Origin::kConnect);  // the snapshot had seen it connected
  EXPECT_EQ(told.site(0, Origin::kBeforeAttach)->live, 0U);
  EXPECT_EQ(told.site(0, Origin::kBeforeAttach)->created, 0U);
  EXPECT_EQ(told.site(kConnectPath, Origin::kConnect)->live, 1U);
  EXPECT_EQ(told.tracker().totals().created, 1U);
}

TEST_F(TrackerTest, ADescriptorProvesThatAConnectionWasAccepted) {
  story.creates(app, 2, kListenPath).listens(2).arrives(3, 2);
  EventBuilder lost = story;
  lost.accepts(app, 3, 2, kAcceptPath);
  TrackedStory told(story);
  EventBuilder snapshot = lost;
  snapshot.snapshot();
  told.hear(snapshot, lost.items().size());  // without the accept
  EXPECT_FALSE(told.socket(3)->unaccepted);
  EXPECT_EQ(told.site(0, Origin::kAccept)->live, 1U);
  told.hear(lost, story.items().size());  // the accept comes after all
  EXPECT_EQ(told.site(0, Origin::kAccept)->live, 0U);
  EXPECT_EQ(told.site(kAcceptPath, Origin::kAccept)->live, 1U);
  EXPECT_EQ(told.tracker().totals().created, 2U);
}

TEST_F(TrackerTest, SnapshotsReplaceTheHolders) {
  const test::Actor child = test::process(900, "sh");
  story.opens(app, 7, kConnectPath).forks(app, child).snapshot();
  TrackedStory told(story);
  ASSERT_EQ(told.socket(7)->holders.size(), 2U);
  EXPECT_EQ(told.socket(7)->holders[1].process, child.process());
  EXPECT_EQ(told.socket(7)->holders[1].comm, "sh");
  EXPECT_EQ(told.socket(7)->inode, 50'007U);
  EXPECT_EQ(told.socket(7)->snapshot, 1U);
  EXPECT_EQ(told.tracker().last_snapshot(), 1U);
  const std::size_t heard = story.items().size();
  story.closes(app, 7).snapshot();
  told.hear(story, heard);
  ASSERT_EQ(told.socket(7)->holders.size(), 1U);
  EXPECT_EQ(told.tracker().last_snapshot(), 2U);
}

TEST_F(TrackerTest, AnIncompleteSnapshotIsCountedAndConfirmsNothingNew) {
  story.opens(app, 7, kConnectPath).snapshot().snapshot(false);
  const TrackedStory told(story);
  EXPECT_EQ(told.tracker().last_snapshot(), 1U);
  EXPECT_EQ(told.tracker().counters().get(Counter::snapshots_incomplete), 1U);
  EXPECT_FALSE(told.tracker().counters().complete());
}

TEST_F(TrackerTest, DatagramSocketsAreNoConnections) {
  story.creates(app, 7, kConnectPath, Protocol::kUdp).state(7, TcpState::kEstablished).snapshot();
  const TrackedStory told(story);
  EXPECT_EQ(told.socket(7)->origin, Origin::kSocket);
  EXPECT_EQ(told.site(kConnectPath, Origin::kSocket, Protocol::kUdp)->live, 1U);
}

TEST_F(TrackerTest, AStackThatNeverCameIsCounted) {
  story.creates(app, 7, 0xdead).creates(app, 8, 0);
  const TrackedStory told(story);
  EXPECT_EQ(told.socket(7)->stack, kNoStack);
  EXPECT_EQ(told.tracker().counters().get(Counter::stacks_unresolved), 1U);
}

TEST_F(TrackerTest, ClosesOfUnknownSocketsCountOnlyWithinTheSession) {
  story.held_before(app, 5).closes(app, 5);
  EXPECT_EQ(TrackedStory(story).tracker().counters().get(Counter::closes_without_open), 1U);
  EventBuilder early;
  early.held_before(app, 5).closes(app, 5);
  EXPECT_EQ(TrackedStory(early).tracker().counters().get(Counter::closes_without_open), 0U);
}

TEST_F(TrackerTest, AFullTableForgetsNewSocketsAloud) {
  for (std::uint64_t cookie = 1; cookie <= 5; ++cookie) story.opens(app, cookie, kConnectPath);
  const TrackedStory told(story, {.growth_window = 5s, .max_sockets = 3});
  EXPECT_EQ(told.tracker().sockets().size(), 3U);
  EXPECT_GE(told.tracker().counters().get(Counter::sockets_evicted), 2U);
  EXPECT_FALSE(told.tracker().counters().complete());
}

TEST_F(TrackerTest, ALostCloseIsMadeGoodWhenTheSocketIsDestroyed) {
  story.opens(app, 7, kConnectPath).destroyed(7);
  const TrackedStory told(story);
  EXPECT_TRUE(told.tracker().sockets().empty());
  EXPECT_EQ(told.site(kConnectPath, Origin::kConnect)->live, 0U);
  EXPECT_TRUE(told.site(kConnectPath, Origin::kConnect)->close_paths.empty());
  EXPECT_EQ(told.tracker().totals().closed, 1U);
}

TEST_F(TrackerTest, EndedProcessesAreRememberedWithTheirStart) {
  story.exits(app);
  const TrackedStory told(story);
  EXPECT_TRUE(told.tracker().processes().end_of(app.process()).has_value());
  EXPECT_FALSE(told.tracker().processes().end_of({Pid{app.pid}, app.start_ns + 1}).has_value());
}

TEST_F(TrackerTest, TimeComesFromEventsAndNeverStepsBack) {
  const KernelTime begin = story.now();
  story.after(10s).opens(app, 7).after(-4s).peer_closes(7);
  const TrackedStory told(story);
  EXPECT_EQ(told.tracker().session_begin(), begin);
  EXPECT_EQ(told.tracker().now(), begin + 10s);
}

TEST_F(TrackerTest, ASocketKnowsItsGoroutineUntilItIsClosed) {
  story.stack(0x55, {0x5000}).creates(app, 7, kConnectPath).in_goroutine(7, 77, 0x55);
  story.ancestors(7, {{6, kAcceptPath}, {1, 0}}).in_goroutine(8, 78);
  {
    const TrackedStory told(story);
    const Goroutine* goroutine = told.tracker().goroutine(SocketId{7});
    ASSERT_NE(goroutine, nullptr);
    EXPECT_EQ(goroutine->id, 77U);
    EXPECT_EQ(goroutine->created_at, told.stacks().find(StackHash{0x55}));
    EXPECT_TRUE(goroutine->exact);
    ASSERT_EQ(goroutine->ancestors.size(), 2U);
    EXPECT_EQ(goroutine->ancestors[0].goroutine, 6U);
    EXPECT_EQ(goroutine->ancestors[0].stack, told.stacks().find(StackHash{kAcceptPath}));
    EXPECT_EQ(goroutine->ancestors[1].stack, kNoStack);
    EXPECT_EQ(told.tracker().goroutine(SocketId{8}), nullptr) << "of a socket that nobody has seen";
  }
  story.waited(7, kListenPath);
  {
    const TrackedStory told(story);
    EXPECT_EQ(told.tracker().goroutine(SocketId{7})->waits_at, told.stacks().find(StackHash{kListenPath}));
  }
  const TrackedStory told(story.closes(app, 7, kClosePath));
  EXPECT_EQ(told.tracker().goroutine(SocketId{7}), nullptr);
}

TEST(TrackerScale, AMillionClosedSocketsLeaveNothingBehind) {
  StackStore stacks;
  stacks.bind(StackHash{1}, stacks.intern({{{ModuleId{1}, 0x1000}}, WalkEnd::kComplete}));
  Tracker tracker(stacks);
  const Task task{{Pid{812}, 1}, Pid{812}};
  const Addresses addresses{{}, {}, Protocol::kTcp};
  for (std::uint64_t i = 1; i <= 1'000'000; ++i) {
    const KernelTime time{i * 1'000'000};
    const SocketId id{i};
    tracker.apply(SocketCreated{time, task, "app", id, StackHash{1}, WalkEnd::kComplete, NetnsId{1}, addresses});
    if (i % 10 == 0) {
      tracker.apply(StateChanged{time, id, {}, TcpState::kSynSent, TcpState::kEstablished, NetnsId{1}, addresses});
    }
    tracker.apply(SocketClosed{time + 41ms, task, "app", id, StackHash{1}, WalkEnd::kComplete, CloseHow::kCall,
                               TcpState::kEstablished});
  }
  EXPECT_TRUE(tracker.sockets().empty());
  ASSERT_EQ(tracker.sites().size(), 2U);  // connected and not
  for (const auto& [key, site] : tracker.sites()) {
    EXPECT_LE(site.live_minima.ended(tracker.now()).size(), 256U);
    EXPECT_LE(site.close_paths.size(), 1U);
    EXPECT_TRUE(site.at_exit.empty());
  }
  EXPECT_EQ(tracker.totals().created, 1'000'000U);
  EXPECT_EQ(tracker.totals().closed, 1'000'000U);
}

}  // namespace
}  // namespace sockleak
