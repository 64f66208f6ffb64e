// What a session asks of its own process, and what it has cost.
#pragma once

#include "app/timed_symbolizer.hpp"

namespace sockleak {

/// Every module of the traced programs stays open, so that it can be read when its process is gone.
void raise_descriptor_limit();

void say_cost(const TimedSymbolizer& symbolizer);

}  // namespace sockleak
