// What is known of a socket's use, as the kernel side would have told it.
#include "abi/wire.h"
#include "support/event_builder.hpp"

namespace sockleak::test {
namespace {

std::uint8_t wire_of(Waiter waiter) {
  switch (waiter) {
    case Waiter::kUnknown:
      return SL_WAITER_UNKNOWN;
    case Waiter::kNobody:
      return SL_WAITER_NOBODY;
    case Waiter::kEpoll:
      return SL_WAITER_EPOLL;
    case Waiter::kPoll:
      return SL_WAITER_POLL;
    case Waiter::kThread:
      return SL_WAITER_THREAD;
    case Waiter::kRing:
      return SL_WAITER_RING;
  }
  return SL_WAITER_UNKNOWN;
}

unsigned flags_of(const SocketFacts& facts) {
  unsigned flags = SL_FACTS_KNOWN;
  if (facts.attempted) flags |= SL_FACTS_ATTEMPTED;
  if (facts.window_closed) flags |= SL_FACTS_WINDOW_CLOSED;
  if (facts.end_read) flags |= SL_FACTS_END_CAME;
  if (facts.end_read.value_or(false)) flags |= SL_FACTS_END_READ;
  return flags;
}

}  // namespace

sl_facts wire_of(const SocketFacts& facts) {
  if (!facts.known) return {};
  const Uses& uses = facts.uses;
  return {.last_sent_ns = facts.last_sent.ns,
          .last_received_ns = facts.last_received.ns,
          .last_segment_ns = facts.last_segment.ns,
          .uses = {.since_ns = uses.since.ns,
                   .first_ns = uses.first.ns,
                   .last_ns = uses.last.ns,
                   .longest_gap_ns = static_cast<std::uint64_t>(uses.longest_gap.count()),
                   .bursts = uses.bursts,
                   .padding = 0},
          .unread = facts.unread,
          .unacknowledged = facts.unacknowledged,
          .flags = static_cast<std::uint8_t>(flags_of(facts)),
          .waiter = wire_of(facts.waiter),
          .padding = {}};
}

}  // namespace sockleak::test
