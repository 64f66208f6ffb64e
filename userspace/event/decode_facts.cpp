#include "event/decode_facts.hpp"

#include <algorithm>
#include <limits>

#include "abi/wire.h"

namespace sockleak {
namespace {

constexpr std::uint64_t kLatest = std::numeric_limits<std::int64_t>::max();

[[nodiscard]] KernelTime time_of(std::uint64_t ns) {
  return KernelTime{std::min(ns, kLatest)};
}

[[nodiscard]] Uses uses_of(const sl_uses& wire) {
  if (wire.since_ns == 0) return {};
  return {.since = time_of(wire.since_ns),
          .bursts = wire.bursts,
          .first = time_of(wire.first_ns),
          .last = time_of(wire.last_ns),
          .longest_gap = Duration(static_cast<Duration::rep>(std::min<std::uint64_t>(wire.longest_gap_ns, kLatest)))};
}

}  // namespace

/// One that a newer kernel side knows is none that we may take for nobody.
Waiter waiter_of(std::uint8_t waiter) {
  switch (waiter) {
    case SL_WAITER_NOBODY:
      return Waiter::kNobody;
    case SL_WAITER_EPOLL:
      return Waiter::kEpoll;
    case SL_WAITER_POLL:
      return Waiter::kPoll;
    case SL_WAITER_THREAD:
      return Waiter::kThread;
    case SL_WAITER_RING:
      return Waiter::kRing;
    default:
      return Waiter::kUnknown;
  }
}

SocketFacts facts_of(const sl_facts& wire) {
  const auto says = [&wire](unsigned flag) { return (wire.flags & flag) != 0; };
  if (!says(SL_FACTS_KNOWN)) return {};
  SocketFacts facts{.known = true,
                    .last_sent = time_of(wire.last_sent_ns),
                    .last_received = time_of(wire.last_received_ns),
                    .last_segment = time_of(wire.last_segment_ns),
                    .unacknowledged = wire.unacknowledged,
                    .window_closed = says(SL_FACTS_WINDOW_CLOSED),
                    .attempted = says(SL_FACTS_ATTEMPTED),
                    .unread = wire.unread,
                    .end_read = std::nullopt,
                    .waiter = waiter_of(wire.waiter),
                    .uses = uses_of(wire.uses)};
  if (says(SL_FACTS_END_CAME)) facts.end_read = says(SL_FACTS_END_READ);
  return facts;
}

}  // namespace sockleak
