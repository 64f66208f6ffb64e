// Recordings: what goes in comes out; damaged ones are read up to the damage; no partial file stays behind.
#include "event/recording.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <random>

#include "support/event_builder.hpp"

namespace sockleak {
namespace {

namespace fs = std::filesystem;
using test::EventBuilder;

class RecordingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "sockleak-recording-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    path_ = directory_ / "run.slk";
  }
  void TearDown() override { fs::remove_all(directory_); }

  static EventBuilder small_story() {
    const test::Actor app = test::process(812, "orders");
    EventBuilder story;
    story.session_begins().stack(0x11, {0x1000, 0x2000}).opens(app, 7, 0x11);
    story.stack(0x22, {0x3000}).peer_closes(7).closes(app, 7, 0x22);
    return story;
  }

  static RecordingWriter::Ending small_ending() {
    RecordingWriter::Ending ending;
    ending.session_json = R"({"kernel":"6.18"})";
    ending.modules = {{"[unknown]", ""}, {"/usr/bin/orders", "abcdef0123"}};
    Stack stack;
    stack.truncated = true;
    stack.why = "user memory was not readable";
    Frame frame;
    frame.function = "db::connect(Url const&)";
    frame.file = "src/db/pool.cc";
    frame.line = 88;
    frame.column = 5;
    frame.module = "orders";
    frame.build_id = "abcdef0123";
    frame.offset = 0x1000;
    frame.inlined = true;
    frame.kind = FrameKind::kGo;
    frame.gap = NameGap::kNoLine;
    stack.frames = {frame, Frame{}};
    ending.resolved.emplace_back(MappedStack{{{ModuleId{1}, 0x1000}, {ModuleId{1}, 0x2000}}, WalkEnd::kReadFailed},
                                 stack);
    ending.counters.add(Counter::events_lost, 3);
    ending.counters.add(Counter::mappings_lost, 5);
    return ending;
  }

  static void add(RecordingWriter& writer, const EventBuilder& story) {
    for (const Recording::Item& item : story.items()) {
      const auto added =
          item.record.empty() ? writer.add_stack(item.stack.hash, item.stack.mapped) : writer.add_record(item.record);
      ASSERT_TRUE(added.has_value()) << added.error().message();
    }
  }

  void write(const EventBuilder& story, const RecordingWriter::Ending& ending) {
    auto writer = RecordingWriter::create(path_);
    ASSERT_TRUE(writer.has_value()) << writer.error().message();
    add(*writer, story);
    const auto finished = writer->finish(ending);
    ASSERT_TRUE(finished.has_value()) << finished.error().message();
  }

  [[nodiscard]] std::vector<std::byte> file_bytes() const {
    std::ifstream file(path_, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
  }

  fs::path directory_;
  fs::path path_;
};

void expect_same_items(const std::vector<Recording::Item>& got, const std::vector<Recording::Item>& wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].record, wanted[i].record);
    EXPECT_EQ(got[i].stack.hash, wanted[i].stack.hash);
    EXPECT_EQ(got[i].stack.mapped, wanted[i].stack.mapped);
  }
}

TEST_F(RecordingTest, WhatWasWrittenIsRead) {
  const EventBuilder story = small_story();
  const auto ending = small_ending();
  write(story, ending);
  const auto recording = read_recording(path_);
  ASSERT_TRUE(recording.has_value()) << recording.error().message();
  expect_same_items(recording->items, story.items());
  EXPECT_EQ(recording->session_json, ending.session_json);
  ASSERT_EQ(recording->modules.size(), 2U);
  EXPECT_EQ(recording->modules[1].name, "/usr/bin/orders");
  EXPECT_EQ(recording->modules[1].build_id, "abcdef0123");
  EXPECT_EQ(recording->resolved, ending.resolved);
  for (std::size_t i = 0; i < kCounterFacts.size(); ++i) {
    EXPECT_EQ(recording->counters.at(i), ending.counters.at(i)) << kCounterFacts[i].name;
  }
}

TEST_F(RecordingTest, ManyBatchesKeepTheirOrder) {
  EventBuilder story;
  const test::Actor app = test::process(812);
  for (std::uint64_t cookie = 1; cookie <= 10'000; ++cookie) story.opens(app, cookie).closes(app, cookie);
  auto ending = small_ending();
  for (int i = 0; i < 20'000; ++i) ending.modules.push_back({"/lib/module-" + std::to_string(i), ""});
  for (int i = 0; i < 5'000; ++i) ending.resolved.push_back(ending.resolved.front());
  write(story, ending);
  const auto recording = read_recording(path_);
  ASSERT_TRUE(recording.has_value());
  expect_same_items(recording->items, story.items());
  ASSERT_EQ(recording->modules.size(), ending.modules.size());
  EXPECT_EQ(recording->modules.back().name, "/lib/module-19999");
  EXPECT_EQ(recording->resolved, ending.resolved);
}

TEST_F(RecordingTest, OnlyItsOwnerMayReadIt) {
  write(small_story(), small_ending());
  struct stat facts {};
  ASSERT_EQ(::stat(path_.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777U, 0600U);
}

TEST_F(RecordingTest, NothingStaysWithoutFinish) {
  {
    auto writer = RecordingWriter::create(path_);
    ASSERT_TRUE(writer.has_value());
    add(*writer, small_story());
    EXPECT_TRUE(fs::exists(path_.string() + ".partial"));
    RecordingWriter moved = std::move(*writer);
    EXPECT_FALSE(fs::exists(path_));
  }
  EXPECT_TRUE(fs::is_empty(directory_));
}

TEST_F(RecordingTest, AnotherSessionsFileIsLeftAlone) {
  auto first = RecordingWriter::create(path_);
  ASSERT_TRUE(first.has_value());
  const auto second = RecordingWriter::create(path_);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().kind, ErrorKind::kOutput);
  EXPECT_FALSE(second.error().hint.empty());
  EXPECT_TRUE(first->finish({}).has_value());
  EXPECT_TRUE(fs::exists(path_));
}

TEST_F(RecordingTest, NothingIsAddedAfterFinish) {
  auto writer = RecordingWriter::create(path_);
  ASSERT_TRUE(writer->finish({}).has_value());
  EXPECT_FALSE(writer->add_stack(StackHash{1}, {}).has_value());
  EXPECT_FALSE(writer->finish({}).has_value());
}

TEST_F(RecordingTest, StackMemoryIsNeverRecorded) {
  auto writer = RecordingWriter::create(path_);
  ASSERT_TRUE(writer.has_value());
  for (const auto type : {std::uint16_t{SL_STACK_MISSED}, std::uint16_t{SL_STACK_SEEN}}) {
    EventBuilder story;
    story.record(type, sl_stack_missed{});
    EXPECT_FALSE(writer->add_record(story.last()).has_value());
  }
  EXPECT_FALSE(writer->add_record({}).has_value());
}

TEST_F(RecordingTest, LongStringsAreCut) {
  auto ending = small_ending();
  ending.modules[1].name.assign(200'000, 'x');
  write(small_story(), ending);
  EXPECT_EQ(read_recording(path_)->modules[1].name.size(), 64U * 1024);
}

TEST_F(RecordingTest, AFileCutAnywhereIsReadUpToTheCut) {
  const EventBuilder story = small_story();
  write(story, small_ending());
  const auto bytes = file_bytes();
  std::size_t most_items = 0;
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const auto recording = parse_recording(std::span(bytes).first(length));
    if (length < 16) {
      EXPECT_FALSE(recording.has_value()) << length;
      continue;
    }
    ASSERT_TRUE(recording.has_value()) << length;
    EXPECT_EQ(recording->counters.get(Counter::recording_cut), 1U) << length;
    EXPECT_TRUE(recording->session_json.empty()) << length;
    EXPECT_GE(recording->items.size(), most_items) << length;
    most_items = recording->items.size();
  }
  EXPECT_EQ(most_items, story.items().size());
}

TEST_F(RecordingTest, AFlippedBitIsNoticedOrChangesNothing) {
  const EventBuilder story = small_story();
  write(story, small_ending());
  const auto whole = file_bytes();
  std::size_t noticed = 0;
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    const std::size_t at = bit / 8;
    auto bytes = whole;
    bytes[at] ^= static_cast<std::byte>(1U << (bit % 8));
    const auto recording = parse_recording(bytes);
    if (at < 12) {  // magic and version
      EXPECT_FALSE(recording.has_value()) << bit;
      continue;
    }
    ASSERT_TRUE(recording.has_value()) << bit;
    if (recording->counters.get(Counter::recording_cut) != 0) {
      ++noticed;
      continue;
    }
    // zstd can write one content in several ways, and some bits of a frame carry nothing.
    expect_same_items(recording->items, story.items());
    EXPECT_EQ(recording->resolved, small_ending().resolved) << bit;
    EXPECT_EQ(recording->session_json, small_ending().session_json) << bit;
    EXPECT_EQ(recording->counters.get(Counter::events_lost), 3U) << bit;
  }
  EXPECT_GT(noticed, (whole.size() - 16) * 7);
}

TEST_F(RecordingTest, RandomBytesNeverCrash) {
  write(small_story(), small_ending());
  const auto whole = file_bytes();
  std::mt19937_64 random(7);
  for (int round = 0; round < 3000; ++round) {
    auto bytes = whole;
    const auto changes = 1 + random() % 20;
    for (std::uint64_t i = 0; i < changes; ++i) {
      bytes[16 + random() % (bytes.size() - 16)] = static_cast<std::byte>(random());
    }
    if (random() % 3 == 0) bytes.insert(bytes.end(), whole.begin() + 16, whole.end());
    EXPECT_TRUE(parse_recording(bytes).has_value());
  }
}

TEST_F(RecordingTest, BytesBehindTheEndingAreIgnored) {
  write(small_story(), small_ending());
  auto bytes = file_bytes();
  bytes.resize(bytes.size() + 100);
  EXPECT_EQ(parse_recording(bytes)->counters.get(Counter::recording_cut), 0U);
}

TEST_F(RecordingTest, OtherFilesAreRefusedWithAReason) {
  std::ofstream(path_) << "something else, longer than a header";
  EXPECT_EQ(read_recording(path_).error().kind, ErrorKind::kInput);
  EXPECT_NE(read_recording(path_).error().what.find("no sockleak recording"), std::string::npos);
  EXPECT_FALSE(read_recording(directory_).has_value());
  EXPECT_FALSE(read_recording(directory_ / "none.slk").has_value());
  EXPECT_FALSE(read_recording("/dev/zero").has_value());
}

TEST_F(RecordingTest, AnUnknownVersionIsNamed) {
  write(small_story(), small_ending());
  auto bytes = file_bytes();
  bytes[8] = std::byte{9};
  const auto recording = parse_recording(bytes);
  ASSERT_FALSE(recording.has_value());
  EXPECT_NE(recording.error().what.find("version 9"), std::string::npos);
}

}  // namespace
}  // namespace sockleak
