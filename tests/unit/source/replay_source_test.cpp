// A replay delivers what a recording holds, in order, and then ends.
#include "source/replay_source.hpp"

#include <gtest/gtest.h>

#include "support/event_builder.hpp"

namespace sockleak {
namespace {

class CollectingSink : public RecordSink {
 public:
  void on_record(std::span<const std::byte> record) override {
    Recording::Item item;
    item.record.assign(record.begin(), record.end());
    items.push_back(std::move(item));
  }
  void on_stack(StackHash hash, const MappedStack& stack) override {
    Recording::Item item;
    item.stack = {hash, stack};
    items.push_back(std::move(item));
  }
  std::vector<Recording::Item> items;
};

TEST(ReplaySource, DeliversEveryItemInOrderAndThenEnds) {
  const test::Actor app = test::process(812);
  test::EventBuilder story;
  story.session_begins();
  for (std::uint64_t cookie = 1; cookie <= 3000; ++cookie) {
    story.stack(cookie, {cookie}).opens(app, cookie, cookie);
  }
  const Recording recording = story.recording();
  ReplaySource source(recording);
  CollectingSink sink;
  int polls = 0;
  while (*source.poll(sink, Duration::zero()) == Progress::kDelivered) ++polls;
  EXPECT_EQ(polls, 3);  // 9001 items
  ASSERT_EQ(sink.items.size(), recording.items.size());
  for (std::size_t i = 0; i < sink.items.size(); ++i) {
    EXPECT_EQ(sink.items[i].record, recording.items[i].record);
    EXPECT_EQ(sink.items[i].stack.hash, recording.items[i].stack.hash);
    EXPECT_EQ(sink.items[i].stack.mapped, recording.items[i].stack.mapped);
  }
  EXPECT_EQ(*source.poll(sink, Duration::zero()), Progress::kEnd);
}

TEST(ReplaySource, AnEmptyRecordingEndsAtOnce) {
  const Recording recording;
  ReplaySource source(recording);
  CollectingSink sink;
  EXPECT_EQ(*source.poll(sink, std::chrono::seconds(10)), Progress::kEnd);
}

TEST(ReplaySource, SnapshotsAndLossesAreTheRecordings) {
  Recording recording;
  recording.counters.add(Counter::events_lost, 4);
  ReplaySource source(recording);
  CollectingSink sink;
  EXPECT_TRUE(source.snapshot(sink).has_value());
  EXPECT_TRUE(sink.items.empty());
  EXPECT_EQ(source.losses().get(Counter::events_lost), 4U);
}

}  // namespace
}  // namespace sockleak
