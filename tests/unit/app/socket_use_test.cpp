// What a report says of a socket's use: idle and dwelling times from what the kernel was found to know.
#include "app/socket_use.hpp"

#include <gtest/gtest.h>

namespace sockleak {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

KernelTime at(std::uint64_t second) { return KernelTime{second * kSecond}; }

SocketRecord socket(Protocol protocol = Protocol::kTcp) {
  SocketRecord record;
  record.addresses.protocol = protocol;
  record.origin = Origin::kConnect;
  record.state = TcpState::kEstablished;
  record.created = at(10);
  return record;
}

SocketFacts known() {
  SocketFacts facts;
  facts.known = true;
  return facts;
}

TEST(SocketUseTest, NothingIsSaidOfWhatIsNotKnown) {
  const SocketUse use = use_of(socket(), SocketFacts{}, at(100));
  EXPECT_FALSE(use.facts.known);
  EXPECT_EQ(use.idle_s, std::nullopt);
  EXPECT_EQ(use.dwell_s, std::nullopt);
}

TEST(SocketUseTest, IdleSinceDataWasLastSeenInEitherDirection) {
  SocketFacts facts = known();
  EXPECT_EQ(use_of(socket(), facts, at(100)).idle_s, 90);  // never: since it was made
  facts.last_sent = at(60);
  facts.last_received = at(50);
  facts.last_segment = at(99);
  EXPECT_EQ(use_of(socket(), facts, at(100)).idle_s, 40);
  EXPECT_EQ(use_of(socket(), facts, at(59)).idle_s, 0);
}

TEST(SocketUseTest, OneFromBeforeTheAttachIdlesSinceThePeerWasHeard) {
  SocketRecord older = socket();
  older.origin = Origin::kBeforeAttach;
  SocketFacts facts = known();
  EXPECT_EQ(use_of(older, facts, at(100)).idle_s, std::nullopt);
  facts.last_segment = at(5);
  EXPECT_EQ(use_of(older, facts, at(100)).idle_s, 95);
}

TEST(SocketUseTest, OtherSocketsIdleWhileTheyAreCounted) {
  SocketFacts facts = known();
  EXPECT_EQ(use_of(socket(Protocol::kUdp), facts, at(100)).idle_s, std::nullopt);
  facts.uses.since = at(80);
  EXPECT_EQ(use_of(socket(Protocol::kUdp), facts, at(100)).idle_s, 20);
  EXPECT_EQ(use_of(socket(Protocol::kUdp), facts, at(100)).counted_s, 20);
  facts.uses.last = at(97);
  EXPECT_EQ(use_of(socket(Protocol::kUnix), facts, at(100)).idle_s, 3);
}

TEST(SocketUseTest, DwellsSinceTheEndCameWheneverThatWasSeen) {
  SocketRecord record = socket();
  SocketFacts facts = known();
  facts.last_segment = at(30);
  EXPECT_EQ(use_of(record, facts, at(100)).dwell_s, std::nullopt);
  record.state = TcpState::kCloseWait;
  record.state_since = at(70);
  EXPECT_EQ(use_of(record, facts, at(100)).dwell_s, 70);
  record.close_wait_since = at(20);  // the peer has said something since
  EXPECT_EQ(use_of(record, facts, at(100)).dwell_s, 80);
  facts.last_segment = KernelTime{};
  EXPECT_EQ(use_of(record, facts, at(100)).dwell_s, 80);
}

}  // namespace
}  // namespace sockleak
