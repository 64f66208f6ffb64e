// A site is all sockets with the same creation stack, origin and protocol; this is what is remembered of the ones
// that are gone: counts, lifetimes, how and where they were closed, and how the number of open ones moved.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <vector>

#include "base/ids.hpp"
#include "base/time.hpp"
#include "event/event.hpp"
#include "track/gone.hpp"
#include "track/socket_record.hpp"

namespace sockleak {

struct SiteKey {
  StackId stack = kNoStack;
  Origin origin = Origin::kSocket;
  Protocol protocol = Protocol::kNone;
  friend auto operator<=>(const SiteKey&, const SiteKey&) = default;
};

/// Lifetimes in log-linear buckets: quantiles within 13 %, constant memory.
class LifetimeHistogram {
 public:
  void add(Duration lifetime);
  [[nodiscard]] std::uint64_t count() const { return count_; }
  /// Upper edge of the bucket that holds quantile q in [0,1]; zero when empty.
  [[nodiscard]] Duration quantile(double q) const;
  [[nodiscard]] Duration longest() const { return longest_; }

 private:
  static constexpr std::size_t kBuckets = std::size_t{64} * 8;
  std::vector<std::uint32_t> buckets_;  // allocated at the first add
  std::uint64_t count_ = 0;
  Duration longest_{};
};

/// The minimum of a count in each window of fixed length.
class WindowMinima {
 public:
  explicit WindowMinima(Duration window) : window_(window) {}
  /// The count is `value` from `now` on. Times before the newest one are taken as the newest.
  void change(KernelTime now, std::uint32_t value);
  /// Minima of all windows that have ended by `now`, oldest first; at most kKept.
  [[nodiscard]] std::vector<std::uint32_t> ended(KernelTime now) const;
  [[nodiscard]] Duration window() const { return window_; }

 private:
  static constexpr std::size_t kKept = 256;
  void roll(KernelTime now);
  Duration window_;
  bool started_ = false;
  KernelTime window_start_;
  std::uint32_t value_ = 0;
  std::uint32_t minimum_ = 0;
  std::vector<std::uint32_t> minima_;
};

struct ClosePath {
  CloseHow how = CloseHow::kCall;
  StackId stack = kNoStack;
  friend auto operator<=>(const ClosePath&, const ClosePath&) = default;
};

struct Site {
  explicit Site(Duration window) : live_minima(window) {}

  std::uint64_t created = 0;               // before-attach sites: first seen
  std::uint64_t closed = 0;                // in any way, the end of a process included
  std::uint32_t live = 0;
  LifetimeHistogram lifetimes;             // of closed ones; sockets closed by the end of their process not included
  LifetimeHistogram dwells;                // of closed ones: between the peer's FIN and the close
  WindowMinima live_minima;
  std::map<ClosePath, std::uint64_t> close_paths;
  GoneLog gone;

  /// Closed by the kernel while their creating process ended. All are counted, the first kKeptAtExit kept.
  static constexpr std::size_t kKeptAtExit = 1024;
  std::uint64_t open_at_exit = 0;
  std::uint64_t listening_at_exit = 0;  // how many of them were listeners
  std::vector<EndedSocket> at_exit;     // without holders: their process is gone

  /// Closed by somebody, but long after the last use or after the peer's FIN:
  /// the newest kKeptLate, oldest first.
  static constexpr std::size_t kKeptLate = 512;
  std::deque<EndedSocket> late;
  /// The newest closes of all, if TrackerOptions::keep_last_closes: the end of their process may turn out to follow.
  static constexpr std::size_t kKeptLast = 256;
  std::deque<EndedSocket> last;
};

}  // namespace sockleak
