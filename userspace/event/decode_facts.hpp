// The part of decode() that reads what is known of a socket's use.
#pragma once

#include "event/facts.hpp"

struct sl_facts;

namespace sockleak {

/// A SL_WAITER_* of the wire.
[[nodiscard]] Waiter waiter_of(std::uint8_t waiter);
[[nodiscard]] SocketFacts facts_of(const sl_facts& wire);

}  // namespace sockleak
