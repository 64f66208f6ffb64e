// What is known of a socket's use: from the wire, from records that are too old to have it, and through a story.
#include "event/facts.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "event/decode.hpp"
#include "support/event_builder.hpp"

namespace sockleak {
namespace {

using std::chrono::milliseconds;

SocketFacts every_fact() {
  return {.known = true,
          .last_sent = KernelTime{11},
          .last_received = KernelTime{12},
          .last_segment = KernelTime{13},
          .unacknowledged = 14,
          .window_closed = true,
          .attempted = true,
          .unread = 15,
          .end_read = false,
          .waiter = Waiter::kThread,
          .uses = {.since = KernelTime{16},
                   .bursts = 17,
                   .first = KernelTime{18},
                   .last = KernelTime{19},
                   .longest_gap = milliseconds(300)}};
}

template <typename Wire>
std::vector<std::byte> record_of(std::uint16_t type, const sl_facts& facts) {
  Wire wire{};
  wire.header.size = sizeof(wire);
  wire.header.type = type;
  wire.cookie = 7;
  wire.facts = facts;
  std::vector<std::byte> bytes(sizeof(wire));
  std::memcpy(bytes.data(), &wire, sizeof(wire));
  return bytes;
}

template <typename Expected>
SocketFacts facts_in(const std::vector<std::byte>& record) {
  const Decoded decoded = decode(record);
  const Event* event = std::get_if<Event>(&decoded);
  const Expected* expected = event == nullptr ? nullptr : std::get_if<Expected>(event);
  if (expected == nullptr) {
    ADD_FAILURE() << "decoded to something else";
    return {};
  }
  EXPECT_EQ(expected->socket, SocketId{7});
  return expected->facts;
}

SocketFacts decoded(const sl_facts& facts) {
  return facts_in<SocketClosed>(record_of<sl_socket_closed>(SL_SOCKET_CLOSED, facts));
}

/// As versions of the wire before the seventh wrote it.
std::vector<std::byte> cut(std::vector<std::byte> record, std::size_t size) {
  record.resize(size);
  const auto now = static_cast<std::uint32_t>(size);
  std::memcpy(record.data(), &now, sizeof(now));
  return record;
}

TEST(Facts, EveryRecordThatHasThemHasAll) {
  const sl_facts wire = test::wire_of(every_fact());
  EXPECT_EQ(decoded(wire), every_fact());
  EXPECT_EQ(facts_in<SnapshotSocket>(record_of<sl_snapshot_socket>(SL_SNAPSHOT_SOCKET, wire)), every_fact());
  EXPECT_EQ(facts_in<SnapshotHolder>(record_of<sl_snapshot_holder>(SL_SNAPSHOT_HOLDER, wire)), every_fact());
}

TEST(Facts, TheWireIsReadFieldByField) {
  const auto with = [](unsigned flags) {
    sl_facts wire{};
    wire.flags = static_cast<std::uint8_t>(SL_FACTS_KNOWN | flags);
    return decoded(wire);
  };
  SocketFacts nothing;
  nothing.known = true;
  EXPECT_EQ(with(0), nothing);
  SocketFacts expected = nothing;
  expected.attempted = true;
  EXPECT_EQ(with(SL_FACTS_ATTEMPTED), expected);
  expected = nothing;
  expected.window_closed = true;
  EXPECT_EQ(with(SL_FACTS_WINDOW_CLOSED), expected);
  expected = nothing;
  expected.end_read = false;
  EXPECT_EQ(with(SL_FACTS_END_CAME), expected);
  expected.end_read = true;
  EXPECT_EQ(with(SL_FACTS_END_CAME | SL_FACTS_END_READ), expected);
}

TEST(Facts, WaitersByNumber) {
  const auto waiter = [](std::uint8_t number) {
    sl_facts wire{};
    wire.flags = SL_FACTS_KNOWN;
    wire.waiter = number;
    return decoded(wire).waiter;
  };
  EXPECT_EQ(waiter(SL_WAITER_UNKNOWN), Waiter::kUnknown);
  EXPECT_EQ(waiter(SL_WAITER_NOBODY), Waiter::kNobody);
  EXPECT_EQ(waiter(SL_WAITER_EPOLL), Waiter::kEpoll);
  EXPECT_EQ(waiter(SL_WAITER_POLL), Waiter::kPoll);
  EXPECT_EQ(waiter(SL_WAITER_RING), Waiter::kRing);
  EXPECT_EQ(waiter(SL_WAITER_THREAD), Waiter::kThread);
  EXPECT_EQ(waiter(6), Waiter::kUnknown);
}

TEST(Facts, WhatIsNotKnownStaysUnknown) {
  sl_facts wire = test::wire_of(every_fact());
  wire.flags = 0;
  EXPECT_EQ(decoded(wire), SocketFacts{});
  wire = test::wire_of(every_fact());
  wire.uses.since_ns = 0;  // not counted: the rest is no statement
  EXPECT_EQ(decoded(wire).uses, Uses{});
}

TEST(Facts, OlderRecordsHaveNone) {
  const sl_facts wire = test::wire_of(every_fact());
  for (const std::size_t size :
       {std::size_t{72}, std::size_t{100}}) {  // 100: of no version, but a reader must not trip
    const auto closed = cut(record_of<sl_socket_closed>(SL_SOCKET_CLOSED, wire), size);
    EXPECT_EQ(facts_in<SocketClosed>(closed), SocketFacts{}) << size;
  }
  EXPECT_EQ(facts_in<SnapshotSocket>(cut(record_of<sl_snapshot_socket>(SL_SNAPSHOT_SOCKET, wire), 112)), SocketFacts{});
  EXPECT_EQ(facts_in<SnapshotHolder>(cut(record_of<sl_snapshot_holder>(SL_SNAPSHOT_HOLDER, wire), 144)), SocketFacts{});
  const Decoded shorter = decode(cut(record_of<sl_snapshot_holder>(SL_SNAPSHOT_HOLDER, wire), 143));
  EXPECT_EQ(std::get<DecodeDefect>(shorter), DecodeDefect::kTooShort);
}

TEST(Facts, AStoryTellsWhatItWasGiven) {
  const test::Actor app = test::process(812);
  test::EventBuilder story;
  story.opens(app, 1).opens(app, 2).facts(1, every_fact()).snapshot();
  std::size_t told = 0;
  const auto count = [&told](const auto& event) {
    if (event.socket == SocketId{1} && event.facts == every_fact()) ++told;
    if (event.socket == SocketId{2}) {
      EXPECT_EQ(event.facts, SocketFacts{});
    }
  };
  for (const auto& item : story.items()) {
    const Decoded decoded = decode(item.record);
    const Event* event = std::get_if<Event>(&decoded);
    if (event == nullptr) continue;
    if (const auto* socket = std::get_if<SnapshotSocket>(event)) count(*socket);
    if (const auto* holder = std::get_if<SnapshotHolder>(event)) count(*holder);
  }
  EXPECT_EQ(told, 2U);
  const Decoded closed = decode(story.exits(app).items()[story.items().size() - 2].record);
  EXPECT_EQ(std::get<SocketClosed>(std::get<Event>(closed)).facts, every_fact());
}

TEST(Facts, TheLastUseIsTheNewestOfAll) {
  SocketFacts facts;
  EXPECT_EQ(last_use(facts), KernelTime{});
  facts.last_sent = KernelTime{5};
  EXPECT_EQ(last_use(facts), KernelTime{5});
  facts.last_received = KernelTime{6};
  EXPECT_EQ(last_use(facts), KernelTime{6});
  facts.uses.last = KernelTime{7};
  EXPECT_EQ(last_use(facts), KernelTime{7});
  facts.last_segment = KernelTime{9};  // says nothing of data
  EXPECT_EQ(last_use(facts), KernelTime{7});
}

TEST(Facts, WaitersHaveNames) {
  EXPECT_STREQ(to_string(Waiter::kUnknown), "");
  EXPECT_STREQ(to_string(Waiter::kNobody), "nobody");
  EXPECT_STREQ(to_string(Waiter::kEpoll), "epoll");
  EXPECT_STREQ(to_string(Waiter::kPoll), "poll");
  EXPECT_STREQ(to_string(Waiter::kThread), "thread");
  EXPECT_STREQ(to_string(Waiter::kRing), "io_uring");
}

}  // namespace
}  // namespace sockleak
