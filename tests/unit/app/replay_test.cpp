// A recording made by the pipeline gives the report of the run that made it, byte for byte.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "app/commands.hpp"
#include "app/output.hpp"
#include "app/resolved_stacks.hpp"
#include "unit/app/told_story.hpp"

namespace sockleak {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ::testing::HasSubstr;

class Replay : public testing::Test {
 protected:
  Replay() {
    std::string pattern = testing::TempDir() + "sockleak-app-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
  }
  ~Replay() override {
    std::error_code ignored;
    fs::remove_all(directory_, ignored);
  }

  [[nodiscard]] std::string path(const std::string& name) const { return (directory_ / name).string(); }

  [[nodiscard]] static std::string content(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  /// As a live session does it: records while it tracks, then reports and finishes the recording.
  [[nodiscard]] static Report live(const test::EventBuilder& story, const std::string& file, bool every_site = false) {
    const Session session = parse_session(session_json(test::check_session()));
    Pipeline pipeline({.growth_window = session.growth_window});
    auto writer = RecordingWriter::create(file);
    EXPECT_TRUE(writer);
    pipeline.record_to(std::move(*writer));
    const Recording events = story.recording();
    ReplaySource source(events);
    EXPECT_TRUE(drain(source, pipeline));
    test::FakeSymbolizer symbolizer;
    Report report = build_report({.session = session,
                                  .tracker = pipeline.tracker(),
                                  .stacks = pipeline.stacks(),
                                  .symbolizer = symbolizer,
                                  .counters = pipeline.counters(),
                                  .every_site = every_site});
    EXPECT_TRUE(pipeline.finish_recording(session_json(session), {}, ModuleStore(), symbolizer));
    return report;
  }

  [[nodiscard]] static test::EventBuilder story() {
    const test::Actor app = test::process(812, "orders");
    test::EventBuilder story;
    story.session_begins().stack(100, {0x10, 0x20}).stack(200, {0x30, 0x20}).stack(300, {0x40});
    for (std::uint64_t cookie = 1; cookie < 9; ++cookie) story.after(1ms).opens(app, cookie, 100);
    for (std::uint64_t cookie = 1; cookie < 6; ++cookie) story.after(3ms).closes(app, cookie, 200);
    story.opens(app, 20, 300).peer_closes(20).after(15s).opens(app, 21, 300).closes(app, 21, 200);
    story.after(1s).exits(app).snapshot();
    return story;
  }

  [[nodiscard]] Options report_options(const std::string& recording) const {
    Options options;
    options.subcommand = Subcommand::kReport;
    options.recordings = {recording};
    options.outputs = {{Format::kText, path("out.txt")}, {Format::kJson, path("out.json")}};
    return options;
  }

  fs::path directory_;
};

TEST_F(Replay, GivesTheLiveReportByteForByte) {
  const Report report = live(story(), path("run.slk"), true);
  ASSERT_EQ(report.findings.size(), 2U);
  Options options = report_options(path("run.slk"));
  options.verbose = true;
  EXPECT_EQ(run_report(options), 1);
  EXPECT_EQ(content(path("out.txt")), write_text(report, {.verbose = true}));
  EXPECT_EQ(content(path("out.json")), write_json(report));
  EXPECT_THAT(content(path("out.json")), HasSubstr("\"sites\""));
}

TEST_F(Replay, JudgesAgainAsTheUserSays) {
  const test::Actor app = test::process(812, "orders");
  test::EventBuilder waiting;
  waiting.session_begins().stack(100, {0x10});
  waiting.arrives(2, 1).accepts(app, 2, 1, 100).peer_closes(2).after(15s).snapshot();
  EXPECT_EQ(live(waiting, path("run.slk")).leaked, 1U);
  Options options = report_options(path("run.slk"));
  options.older = 30s;
  EXPECT_EQ(run_report(options), 0);
  EXPECT_THAT(content(path("out.txt")), HasSubstr("no leak found"));
}

TEST_F(Replay, ReadsACutRecordingUpToTheCut) {
  (void)live(story(), path("run.slk"));
  fs::resize_file(path("run.slk"), fs::file_size(path("run.slk")) - 20);
  const auto status = run_report(report_options(path("run.slk")));
  ASSERT_TRUE(status) << status.error().what;
  EXPECT_NE(*status, 0);
  EXPECT_THAT(content(path("out.json")), HasSubstr("\"recording_cut\": 1"));
  EXPECT_THAT(content(path("out.json")), HasSubstr("\"kernel\": null"));
}

TEST_F(Replay, TakesSeveralRecordings) {
  (void)live(story(), path("a.slk"));
  test::EventBuilder clean;
  clean.session_begins().snapshot();
  (void)live(clean, path("b.slk"));
  Options options = report_options(path("b.slk"));
  options.recordings.push_back(path("a.slk"));
  EXPECT_EQ(run_report(options), 1);
  EXPECT_THAT(content(path("out.txt")), testing::StartsWith("no leak found"));
  EXPECT_THAT(content(path("out.txt")), HasSubstr("LEAK"));
}

TEST_F(Replay, LeavesNoFileIfARecordingCannotBeRead) {
  const auto status = run_report(report_options(path("missing.slk")));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind, ErrorKind::kInput);
  EXPECT_TRUE(fs::is_empty(directory_));
}

TEST_F(Replay, CountsWhatCannotBeDecoded) {
  test::EventBuilder story;
  story.session_begins();
  story.record(99, sl_process_freed{});
  Recording recording = story.recording();
  recording.items.push_back({.record = std::vector<std::byte>(40), .stack = {}});
  Pipeline pipeline({});
  ReplaySource source(recording);
  ASSERT_TRUE(drain(source, pipeline));
  EXPECT_EQ(pipeline.counters().get(Counter::records_unknown), 1U);
  EXPECT_EQ(pipeline.counters().get(Counter::records_malformed), 1U);
}

TEST(ResolvedStacks, GiveModulesAndOffsetsForWhatWasNotResolved) {
  Recording recording;
  recording.modules = {{"", ""}, {"/srv/app", "c0ffee"}};
  ResolvedStacks symbolizer(recording);
  const MappedStack mapped{{{ModuleId{1}, 0x10}, {ModuleId{9}, 0x20}, {ModuleId{0}, 0x30}}, WalkEnd::kDepth};
  const Stack stack = symbolizer.symbolize(mapped);
  ASSERT_EQ(stack.frames.size(), 3U);
  EXPECT_EQ(stack.frames[0].module, "/srv/app");
  EXPECT_EQ(stack.frames[0].build_id, "c0ffee");
  EXPECT_EQ(stack.frames[1].module, "");
  EXPECT_EQ(stack.frames[2].offset, 0x30U);
  EXPECT_TRUE(stack.truncated);
  EXPECT_EQ(stack.why, why_short(WalkEnd::kDepth));
}

}  // namespace
}  // namespace sockleak
