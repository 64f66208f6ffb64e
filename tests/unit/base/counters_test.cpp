#include "base/counters.hpp"

#include <gtest/gtest.h>

#include <set>

namespace sockleak {
namespace {

TEST(Counters, StartAtZeroAndComplete) {
  const Counters counters;
  for (std::size_t i = 0; i < kCounterFacts.size(); ++i) EXPECT_EQ(counters.at(i), 0U);
  EXPECT_TRUE(counters.complete());
}

TEST(Counters, OnlyLossesThatCanHideALeakBreakThePromise) {
  for (std::size_t i = 0; i < kCounterFacts.size(); ++i) {
    Counters counters;
    counters.add(static_cast<Counter>(i));
    EXPECT_EQ(counters.complete(), !kCounterFacts[i].breaks_promise) << kCounterFacts[i].name;
  }
}

TEST(Counters, MergeAddsByName) {
  Counters a;
  a.set(Counter::events_lost, 2);
  Counters b;
  b.add(Counter::events_lost, 3);
  b.add(Counter::stacks_lost);
  a.merge(b);
  EXPECT_EQ(a.get(Counter::events_lost), 5U);
  EXPECT_EQ(a.get(Counter::stacks_lost), 1U);
}

TEST(Counters, HaveNamesOfTheirOwn) {
  std::set<std::string_view> names;
  for (const CounterFact& fact : kCounterFacts) EXPECT_TRUE(names.insert(fact.name).second) << fact.name;
}

}  // namespace
}  // namespace sockleak
