// Which kinds of sockets are watched, as the kernel side's configuration says it.
#pragma once

#include <cstdint>
#include <vector>

#include "event/event.hpp"

namespace sockleak {

/// SL_TYPE_*; 0 = all.
[[nodiscard]] std::uint32_t bits_of(const std::vector<Protocol>& types);

[[nodiscard]] bool watches_unix(std::uint32_t types);

}  // namespace sockleak
