#include "base/recent_map.hpp"

#include <gtest/gtest.h>

#include <set>

namespace sockleak {
namespace {

TEST(RecentMap, FindsWhatWasPut) {
  RecentMap<int, int> map(8);
  EXPECT_TRUE(map.put(1, 10));
  EXPECT_FALSE(map.put(1, 11));
  ASSERT_NE(map.find(1), nullptr);
  EXPECT_EQ(*map.find(1), 11);
  EXPECT_EQ(map.find(2), nullptr);
  EXPECT_TRUE(map.erase(1));
  EXPECT_FALSE(map.erase(1));
  EXPECT_EQ(map.find(1), nullptr);
}

TEST(RecentMap, NeverHoldsMoreThanItsLimitAndTellsWhatItGivesUp) {
  RecentMap<int, int> map(100);
  std::set<int> forgotten;
  map.on_forgotten([&](int key, int) { forgotten.insert(key); });
  for (int i = 0; i < 1000; ++i) {
    map.put(i, i);
    ASSERT_LE(map.size(), 100U);
    ASSERT_EQ(map.size() + forgotten.size(), static_cast<std::size_t>(i) + 1) << "each key is held or was told of";
  }
  EXPECT_NE(map.find(999), nullptr);
  EXPECT_EQ(map.find(0), nullptr);
}

TEST(RecentMap, WhatIsAskedForStays) {
  RecentMap<int, int> map(100);
  map.put(-1, 7);
  for (int i = 0; i < 10'000; ++i) {
    map.put(i, i);
    ASSERT_NE(map.find(-1), nullptr) << i;
  }
  EXPECT_EQ(*map.find(-1), 7);
  std::size_t seen = 0;
  map.for_each([&](int, int) { ++seen; });
  EXPECT_EQ(seen, map.size());
}

}  // namespace
}  // namespace sockleak
