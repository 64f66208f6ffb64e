#include "report/remedy.hpp"

#include <gtest/gtest.h>

namespace sockleak {
namespace {

Frame frame(std::string function, std::string file, std::uint32_t line) {
  Frame made;
  made.function = std::move(function);
  made.file = std::move(file);
  made.line = line;
  return made;
}

// Four sockets, last read in `reader`; their siblings are closed in close_order(), called by serve(), too.
ReportFinding last_read_in(Frame reader, bool by_runtime) {
  ReportFinding finding;
  finding.last_touched_at.push_back({.count = 4, .what = "recv → 0 (peer closed)", .stack = {}, .by_runtime = by_runtime});
  finding.last_touched_at[0].stack.frames = {std::move(reader), frame("serve", "server.c", 41)};
  finding.closed_at.push_back({.count = 12, .how = "close", .stack = {}});
  finding.closed_at[0].stack.frames = {frame("close_order", "server.c", 12), frame("serve", "server.c", 45)};
  return finding;
}

TEST(Remedy, ComparesTheLastTouchWithTheSiblingsClose) {
  EXPECT_EQ(remedy_text(last_read_in(frame("read_order", "server.c", 7), false)),
            "close() is missing on the path through read_order (server.c:7), which ended with recv → 0 (peer closed); "
            "siblings are closed in close_order (server.c:12); the paths part in serve (server.c:41)");
}

// libstdc++ without symbols is below every thread's function.
TEST(Remedy, SeesThroughFramesWithoutAName) {
  ReportFinding finding = last_read_in(frame("read_order", "server.c", 7), false);
  Frame unnamed = frame("", "", 0);
  unnamed.module = "libstdc++.so.6";
  unnamed.offset = 0xd44a3;
  for (Stack* stack : {&finding.last_touched_at[0].stack, &finding.closed_at[0].stack}) {
    stack->frames.push_back(unnamed);
    stack->frames.push_back(frame("start_thread", "pthread_create.c", 442));
  }
  EXPECT_TRUE(remedy_text(finding).ends_with("; the paths part in serve (server.c:41)")) << remedy_text(finding);
  finding.closed_at[0].stack.frames[2].offset = 0xd5000;
  EXPECT_TRUE(remedy_text(finding).ends_with("; the paths part in start_thread (pthread_create.c:442)"));
}

TEST(Remedy, DoesNotSendAnybodyIntoTheRuntime) {
  ReportFinding finding = last_read_in(frame("uv__read", "stream.c", 1059), true);
  finding.last_touched_at[0].stack.frames.resize(1);
  EXPECT_EQ(remedy_text(finding),
            "close() is missing in what the program does after recv → 0 (peer closed), which its runtime was told in "
            "uv__read (stream.c:1059); siblings are closed in close_order (server.c:12)");
}

TEST(Remedy, SaysThatNobodyClosesThem) {
  ReportFinding finding = last_read_in(frame("read_order", "server.c", 7), false);
  finding.closed_at.clear();
  EXPECT_EQ(remedy_text(finding),
            "close() is missing on the path through read_order (server.c:7), which ended with recv → 0 (peer closed): "
            "nobody closes these sockets");
}

}  // namespace
}  // namespace sockleak
