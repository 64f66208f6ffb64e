// What a report says of one socket's use, from what the kernel was found to know of it.
#pragma once

#include "report/report.hpp"

namespace sockleak {

[[nodiscard]] SocketUse use_of(const SocketRecord& socket, const SocketFacts& facts, KernelTime now);

}  // namespace sockleak
