// What sites remember: lifetimes within an eighth, minima of windows.
#include "track/site.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace sockleak {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(LifetimeHistogram, IsZeroWhenEmpty) {
  const LifetimeHistogram histogram;
  EXPECT_EQ(histogram.quantile(0.5), Duration::zero());
  EXPECT_EQ(histogram.longest(), Duration::zero());
}

TEST(LifetimeHistogram, QuantilesAreWithinThirteenPercent) {
  LifetimeHistogram histogram;
  for (int i = 1; i <= 1000; ++i) histogram.add(i * 1ms);
  for (const double q : {0.01, 0.25, 0.5, 0.9, 0.99}) {
    const double exact = q * 1e9;
    const auto got = static_cast<double>(histogram.quantile(q).count());
    EXPECT_GE(got, exact) << q;
    EXPECT_LE(got, exact * 1.13) << q;
  }
  EXPECT_EQ(histogram.quantile(1.0), 1s);
  EXPECT_EQ(histogram.longest(), 1s);
  EXPECT_EQ(histogram.count(), 1000U);
}

TEST(LifetimeHistogram, TakesEveryDuration) {
  LifetimeHistogram histogram;
  histogram.add(-5s);  // clocks of two CPUs
  EXPECT_EQ(histogram.quantile(1.0), Duration::zero());
  for (int shift = 0; shift < 63; ++shift) {
    const Duration value(std::int64_t{1} << shift);
    LifetimeHistogram one;
    one.add(value);
    EXPECT_EQ(one.quantile(0.5), value);
  }
  histogram.add(Duration::max());
  EXPECT_EQ(histogram.quantile(1.0), Duration::max());
}

KernelTime at(Duration since_start) {
  return KernelTime{1'000'000'000} + since_start;
}

TEST(WindowMinima, KeepsTheLowestCountOfEveryEndedWindow) {
  WindowMinima minima(5s);
  minima.change(at(0s), 3);
  minima.change(at(1s), 1);
  minima.change(at(2s), 4);
  EXPECT_THAT(minima.ended(at(4s)), IsEmpty());
  minima.change(at(6s), 5);  // the second window began with 4
  minima.change(at(7s), 6);
  EXPECT_THAT(minima.ended(at(9s)), ElementsAre(1));
  EXPECT_THAT(minima.ended(at(10s)), ElementsAre(1, 4));
}

TEST(WindowMinima, QuietWindowsKeepTheValue) {
  WindowMinima minima(5s);
  minima.change(at(0s), 2);
  EXPECT_THAT(minima.ended(at(21s)), ElementsAre(2, 2, 2, 2));
  minima.change(at(22s), 7);
  EXPECT_THAT(minima.ended(at(30s)), ElementsAre(2, 2, 2, 2, 2, 7));
}

TEST(WindowMinima, TimesThatStepBackAreTheNewestTime) {
  WindowMinima minima(5s);
  minima.change(at(7s), 2);
  minima.change(at(3s), 1);
  EXPECT_THAT(minima.ended(at(12s)), ElementsAre(1));
}

TEST(WindowMinima, MemoryIsBounded) {
  WindowMinima minima(5s);
  minima.change(at(0s), 1);
  minima.change(at(std::chrono::hours(24 * 365)), 2);
  EXPECT_EQ(minima.ended(at(std::chrono::hours(24 * 366))).size(), 256U);
  EXPECT_EQ(minima.ended(KernelTime{std::numeric_limits<std::int64_t>::max()}).size(), 256U);
  EXPECT_THAT(WindowMinima(5s).ended(at(1h)), IsEmpty());
}

}  // namespace
}  // namespace sockleak
