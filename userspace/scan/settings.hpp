// The kernel settings that decide how long sockets stay and when something runs out: what they are, what they do, and
// what they do not do although many believe it.
#pragma once

#include <string_view>

#include "scan/snapshot.hpp"

namespace sockleak {

/// Port range, reuse of TIME_WAIT and all settings worth telling, of the network namespace this thread is in.
[[nodiscard]] NetworkNamespace read_settings(NetnsId id);

/// What a setting does and does not do; empty if it is none of ours.
[[nodiscard]] const char* meaning_of(std::string_view setting);

}  // namespace sockleak
