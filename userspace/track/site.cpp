// What a site remembers in constant memory: a log-linear histogram (eight buckets per power of two, so a bucket's
// width is at most 1/8 of its lower edge) and the minima of windows.
#include "track/site.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace sockleak {
namespace {

constexpr unsigned kSubBits = 3;  // 2^3 buckets per power of two
constexpr std::uint64_t kSubBuckets = 1U << kSubBits;

/// Values below 8 have a bucket each; from there on the three bits after the leading one choose the bucket.
[[nodiscard]] std::size_t bucket_of(std::uint64_t ns) {
  if (ns < kSubBuckets) return static_cast<std::size_t>(ns);
  const auto exponent = static_cast<unsigned>(std::bit_width(ns)) - 1;
  const std::uint64_t sub = (ns >> (exponent - kSubBits)) & (kSubBuckets - 1);
  return static_cast<std::size_t>((exponent - kSubBits + 1) * kSubBuckets + sub);
}

/// The largest value in the bucket.
[[nodiscard]] std::uint64_t upper_edge(std::size_t bucket) {
  if (bucket < kSubBuckets) return bucket;
  const std::uint64_t shift = bucket / kSubBuckets - 1;
  const std::uint64_t sub = bucket % kSubBuckets;
  return ((kSubBuckets + sub + 1) << shift) - 1;
}

}  // namespace

void LifetimeHistogram::add(Duration lifetime) {
  const Duration value = std::max(lifetime, Duration::zero());  // clocks of two CPUs may differ by a little
  if (buckets_.empty()) buckets_.resize(kBuckets);
  std::uint32_t& bucket = buckets_[bucket_of(static_cast<std::uint64_t>(value.count()))];
  if (bucket != std::numeric_limits<std::uint32_t>::max()) ++bucket;
  ++count_;
  longest_ = std::max(longest_, value);
}

Duration LifetimeHistogram::quantile(double q) const {
  if (count_ == 0) return Duration::zero();
  const double wanted = std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(count_));
  const std::uint64_t rank = std::max<std::uint64_t>(static_cast<std::uint64_t>(wanted), 1);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= rank) return std::min(Duration(static_cast<std::int64_t>(upper_edge(i))), longest_);
  }
  return longest_;
}

void WindowMinima::change(KernelTime now, std::uint32_t value) {
  if (!started_) {
    started_ = true;
    window_start_ = now;
    minimum_ = value;  // what the count was before the first change says nothing about this site
  }
  roll(now);
  value_ = value;
  minimum_ = std::min(minimum_, value);
}

std::vector<std::uint32_t> WindowMinima::ended(KernelTime now) const {
  WindowMinima rolled = *this;
  rolled.roll(now);
  return std::move(rolled.minima_);
}

/// Ends every window that is over by `now`. The running one ends with its minimum, later ones saw `value_` only.
void WindowMinima::roll(KernelTime now) {
  if (!started_ || window_ <= Duration::zero() || now - window_start_ < window_) return;
  const std::int64_t passed = (now - window_start_) / window_;
  minima_.push_back(minimum_);
  const auto quiet = static_cast<std::size_t>(std::min<std::int64_t>(passed - 1, kKept));
  minima_.insert(minima_.end(), quiet, value_);
  if (minima_.size() > kKept) minima_.erase(minima_.begin(), minima_.end() - kKept);
  minimum_ = value_;
  window_start_ = window_start_ + window_ * passed;
}

}  // namespace sockleak
