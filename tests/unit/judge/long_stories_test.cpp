// Sessions of hours and days in a moment: the corpus' programs run for a minute, and some truths need longer.
#include <gtest/gtest.h>

#include <deque>
#include <string>

#include "judge/judge.hpp"
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
constexpr std::uint64_t kListener = 1;

class LongStories : public ::testing::Test {
 protected:
  LongStories() {
    story.stack(kConnectPath, {0x1000})
        .stack(kAcceptPath, {0x2000})
        .stack(kListenPath, {0x3000})
        .stack(kClosePath, {0x4000});
    story.session_begins();
  }

  /// Used `bursts` times from then to then, by a program that waits in epoll.
  EventBuilder& used(std::uint64_t cookie, KernelTime first, KernelTime last, std::uint32_t bursts,
                     Duration longest_gap) {
    SocketFacts facts;
    facts.known = facts.attempted = true;
    facts.last_sent = facts.last_received = facts.last_segment = last;
    facts.waiter = Waiter::kEpoll;
    facts.uses = {.since = first, .bursts = bursts, .first = first, .last = last, .longest_gap = longest_gap};
    return story.facts(cookie, facts);
  }
  void used_once(std::uint64_t cookie) { used(cookie, story.now(), story.now(), 1, Duration::zero()); }

  void request(bool forgotten) {
    story.opens(app, next, kConnectPath);
    used_once(next);
    if (!forgotten) story.after(20ms).closes(app, next, kClosePath);
    ++next;
  }

  /// Whatever would make somebody look: leaks, and suspects that are more likely true than not. Growth alone is a
  /// remark.
  [[nodiscard]] std::string accused() {
    std::string all;
    for (const Finding& finding : verdicts()) {
      if (finding.verdict != Verdict::kLeak && finding.confidence < 0.5) continue;
      all += std::string(to_string(finding.verdict)) + " " + std::to_string(finding.leaked);
      for (const Evidence& evidence : finding.evidence) all += " " + evidence.rule + ": " + evidence.text + ";";
    }
    return all;
  }
  [[nodiscard]] std::vector<Finding> verdicts() {
    story.snapshot();
    const TrackedStory told(story);
    return judge(told.tracker(), story.now(), {});
  }
  [[nodiscard]] Finding only_verdict() {
    const auto findings = verdicts();
    EXPECT_EQ(findings.size(), 1U);
    return findings.empty() ? Finding{} : findings.front();
  }

  const test::Actor app = test::process(812, "orders");
  EventBuilder story;
  std::uint64_t next = 100;
};

TEST_F(LongStories, OneInTenThousandIsALeak) {
  for (int i = 1; i <= 52'000; ++i) {
    request(i % 10'000 == 0);
    story.after(50ms);
  }
  story.after(10min);
  const Finding finding = only_verdict();
  EXPECT_EQ(finding.verdict, Verdict::kLeak);
  EXPECT_EQ(finding.leaked, 5U);
  EXPECT_EQ(finding.created, 52'000U);
}

TEST_F(LongStories, OneForgottenInEachHourIsALeak) {
  for (int minute = 0; minute < 24 * 60; ++minute) {
    request(minute % 60 == 30);
    story.after(1min);
  }
  const Finding finding = only_verdict();
  EXPECT_EQ(finding.verdict, Verdict::kLeak);
  EXPECT_EQ(finding.leaked, 24U);
}

TEST_F(LongStories, AnEndOfThePeerThatNobodyAnswersInEachHourIsALeak) {
  story.creates(app, kListener, kListenPath).listens(kListener);
  for (int minute = 0; minute < 24 * 60; ++minute) {
    story.arrives(next, kListener).accepts(app, next, kListener, kAcceptPath).peer_closes(next);
    const bool forgotten = minute % 60 == 30;
    SocketFacts facts;
    facts.known = facts.attempted = true;
    facts.last_received = facts.last_segment = story.now();
    facts.end_read = true;
    facts.waiter = Waiter::kNobody;
    story.facts(next, facts);
    if (!forgotten) story.after(20ms).closes(app, next, kClosePath);
    ++next;
    story.after(1min);
  }
  const Finding finding = only_verdict();
  EXPECT_EQ(finding.verdict, Verdict::kLeak);
  EXPECT_EQ(finding.leaked, 24U);
}

/// A pool that gets its connections over hours, as its load rises: all of them busy when each one is opened.
TEST_F(LongStories, APoolThatGrowsForHoursIsNone) {
  const KernelTime begin = story.now();
  for (int i = 0; i < 48; ++i) {
    story.opens(app, next++, kConnectPath).after(10min);
  }
  for (std::uint64_t cookie = 100; cookie < next; ++cookie) {
    const KernelTime born{begin.ns + (cookie - 100) * 600'000'000'000};
    used(cookie, born, KernelTime{story.now().ns - cookie * 1'000'000}, 20'000, 40s);
  }
  EXPECT_EQ(accused(), "");
}

/// Each connection is replaced when it is half an hour old.
TEST_F(LongStories, APoolWithALongestLifeIsNone) {
  constexpr std::uint64_t kSize = 20;
  for (int i = 0; i < 48 * static_cast<int>(kSize); ++i) {
    if (next >= 100 + kSize) story.closes(app, next - kSize, kClosePath);
    story.opens(app, next, kConnectPath);
    const KernelTime born = story.now();
    story.after(90s);
    used(next, born, story.now(), 60, 30s);
    ++next;
  }
  for (std::uint64_t cookie = next - kSize; cookie < next; ++cookie) {
    used(cookie, KernelTime{story.now().ns - (next - cookie) * 90'000'000'000}, story.now(),
         60 * static_cast<std::uint32_t>(next - cookie), 30s);
  }
  EXPECT_EQ(accused(), "");
}

class WebSockets : public LongStories {
 protected:
  WebSockets() { story.creates(app, kListener, kListenPath).listens(kListener); }

  /// Whoever came stays for six hours; each talks every 20 s.
  void a_day() {
    std::deque<std::pair<std::uint64_t, KernelTime>> present;
    for (int minute = 0; minute < 24 * 60; ++minute) {
      story.arrives(next, kListener).accepts(app, next, kListener, kAcceptPath);
      present.emplace_back(next, story.now());
      ++next;
      if (present.size() > 360) {
        story.closes(app, present.front().first, kClosePath);
        present.pop_front();
      }
      story.after(1min);
    }
    story.after(2h);  // nobody comes any more; who is there goes on talking
    for (const auto& [cookie, born] : present)
      used(cookie, born, KernelTime{story.now().ns - cookie % 20 * 1'000'000'000}, 1000, 20s);
  }
};

TEST_F(WebSockets, ThoseThatTalkForADayAreNone) {
  a_day();
  EXPECT_EQ(accused(), "");
}

}  // namespace
}  // namespace sockleak
