// What makes us look closer: sites that keep sockets.
#include "judge/suspicion.hpp"

#include <gtest/gtest.h>

#include "support/tracked_story.hpp"

namespace sockleak {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const test::Actor kApp = test::process(812);

test::EventBuilder opens(std::uint64_t sockets, std::uint64_t sites) {
  test::EventBuilder story;
  story.session_begins();
  for (std::uint64_t site = 0; site < sites; ++site) story.stack(16 + site, {0x1000 + site});
  for (std::uint64_t i = 0; i < sockets; ++i) story.opens(kApp, i + 1, 16 + i % sites);
  return story;
}

bool keeps(const test::EventBuilder& story) {
  return keeps_sockets(test::TrackedStory(story).tracker(), story.now());
}

TEST(KeepsSockets, ThreeOfOneSiteForTwoSeconds) {
  test::EventBuilder story = opens(3, 1);
  EXPECT_FALSE(keeps(story));
  story.after(milliseconds(1999));
  EXPECT_FALSE(keeps(story));
  story.after(milliseconds(1));
  EXPECT_TRUE(keeps(story));
  story.closes(kApp, 1);
  EXPECT_FALSE(keeps(story));
}

TEST(KeepsSockets, TwoOfEachSiteAreNoReason) {
  EXPECT_FALSE(keeps(opens(6, 3).after(seconds(60))));
}

TEST(KeepsSockets, ListenersAreNoReason) {
  test::EventBuilder story = opens(2, 1);
  story.creates(kApp, 3, 16).listens(3).after(seconds(60));
  EXPECT_FALSE(keeps(story));
}

TEST(KeepsSockets, NorIsWhatWaitsToBeAccepted) {
  test::EventBuilder story = opens(1, 1);
  story.listens(1);
  for (std::uint64_t i = 2; i < 6; ++i) story.arrives(i, 1);
  story.after(seconds(60));
  EXPECT_FALSE(keeps(story));
}

TEST(KeepsSockets, ThoseFromBeforeTheAttachAre) {
  test::EventBuilder story;
  story.session_begins();
  for (std::uint64_t i = 1; i < 4; ++i) story.held_before(kApp, i);
  story.snapshot().after(seconds(2));
  EXPECT_TRUE(keeps(story));
}

}  // namespace
}  // namespace sockleak
