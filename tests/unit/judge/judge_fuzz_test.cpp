// Damaged stories: whatever decodes must pass the tracker and the judge without a crash, and the sums must hold.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "judge/judge.hpp"
#include "support/tracked_story.hpp"

namespace sockleak {
namespace {

using namespace std::chrono_literals;

test::EventBuilder eventful_story() {
  const test::Actor app = test::process(812);
  const test::Actor child = test::process(900);
  test::EventBuilder story;
  story.stack(0x11, {0x1000}).stack(0x22, {0x2000}).session_begins().held_before(app, 1).held_before(app, 2);
  story.creates(app, 3, 0x11).listens(3);
  for (std::uint64_t i = 0; i < 20; ++i) {
    story.opens(app, 10 + i, 0x11).after(500ms).arrives(50 + i, 3).accepts(app, 50 + i, 3, 0x22);
    if (i % 2 == 0) story.peer_closes(50 + i).peer_closes(10 + i);
    if (i % 5 == 0) story.snapshot().forks(app, child);
    if (i % 4 == 0) story.closes(app, 10 + i, 0x22).destroyed(10 + i);
  }
  return story.after(12s).snapshot().exits(child).exits(app).freed(app).command_ended(app, 0);
}

TEST(JudgeFuzz, DamagedStoriesGiveConsistentFindings) {
  const test::EventBuilder whole = eventful_story();
  std::mt19937_64 random(99);
  for (int round = 0; round < 300; ++round) {
    StackStore stacks;
    Tracker tracker(stacks, {.growth_window = 1s, .max_sockets = 30});
    for (const Recording::Item& item : whole.items()) {
      if (item.record.empty()) {
        stacks.bind(item.stack.hash, stacks.intern(item.stack.mapped));
        continue;
      }
      auto bytes = item.record;
      if (random() % 8 == 0) continue;                       // lost
      for (auto flips = random() % 3; flips > 0; --flips) {  // behind size and type, so that they still decode
        bytes[8 + random() % (bytes.size() - 8)] = static_cast<std::byte>(random());
      }
      const Decoded decoded = decode(bytes);
      if (const Event* event = std::get_if<Event>(&decoded)) tracker.apply(*event);
    }
    std::uint64_t live = 0;
    for (const auto& [key, site] : tracker.sites()) {
      live += site.live;
      EXPECT_EQ(site.created, site.closed + site.live);
    }
    const auto waiting = std::count_if(tracker.sockets().begin(), tracker.sockets().end(),
                                       [](const auto& entry) { return entry.second.unaccepted; });
    EXPECT_EQ(live + static_cast<std::uint64_t>(waiting), tracker.sockets().size());
    EXPECT_LE(tracker.sockets().size(), 30U);
    for (const Finding& finding : judge(tracker, tracker.now(), {.older = 1ms, .growth_windows = 1, .at_exit = true})) {
      EXPECT_LE(finding.leaked, finding.created);
      EXPECT_LE(finding.sockets.size(), finding.leaked);
      EXPECT_GT(finding.confidence, 0);
      EXPECT_LE(finding.confidence, 1);
    }
  }
}

}  // namespace
}  // namespace sockleak
