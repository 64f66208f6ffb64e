#include "runtime/java/findings/java_pool.hpp"

#include <gtest/gtest.h>

#include "unit/app/told_story.hpp"

namespace sockleak::test {
namespace {

constexpr std::uint64_t kHttp = 0x10, kSocket = 0x20;

/// The stack at kHttp goes through HttpURLConnection's client.
class JavaSymbolizer final : public Symbolizer {
 public:
  Stack symbolize(const MappedStack& stack) override {
    Stack result;
    for (const MappedFrame& mapped : stack.frames) {
      Frame& frame = result.frames.emplace_back();
      frame.kind = FrameKind::kJava;
      frame.function = mapped.address == kHttp ? "sun.net.www.http.HttpClient.openServer" : "java.net.Socket.<init>";
    }
    return result;
  }
};

/// Of `count` connections to one address that were open at the end, how many may idle in the pool?
std::size_t may_idle(std::uint64_t stack, std::uint64_t count) {
  const Actor app = process(812);
  EventBuilder story;
  story.session_begins().stack(0x101, {stack});
  for (std::uint64_t i = 1; i <= count; ++i) {
    story.after(std::chrono::milliseconds(1)).creates(app, i, 0x101).connects(i, 80);
  }
  story.exits(app);
  const ToldStory told(story);
  JavaSymbolizer symbolizer;
  JavaPool pool(told.pipeline.tracker(), told.pipeline.stacks(), symbolizer);
  std::size_t found = 0;
  for (const auto& [key, site] : told.pipeline.tracker().sites()) {
    for (const EndedSocket& ended : site.at_exit) {
      if (!pool.may_hold(ended.record)) continue;
      ++found;
      EXPECT_GT(ended.record.id.value + JavaPool::kKept, count) << "the youngest";
    }
  }
  return found;
}

TEST(JavaPool, KeepsTheYoungestFewOfAnAddress) {
  EXPECT_EQ(may_idle(kHttp, 1), 1U);
  EXPECT_EQ(may_idle(kHttp, 20), JavaPool::kKept);
}

TEST(JavaPool, KeepsNoSocketThatTheProgramMadeItself) {
  EXPECT_EQ(may_idle(kSocket, 20), 0U);
}

}  // namespace
}  // namespace sockleak::test
