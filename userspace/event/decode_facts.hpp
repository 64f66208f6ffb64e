// The part of decode() that reads what is known of a socket's use. Private to event/.
#pragma once

#include "event/facts.hpp"

struct sl_facts;

namespace sockleak {

[[nodiscard]] SocketFacts facts_of(const sl_facts& wire);

}  // namespace sockleak
