// Sockets of families that are not followed, as the kernel side has counted them.
#pragma once

#include <cstdint>
#include <map>

namespace sockleak {

/// By family; numbers as in linux/socket.h.
using FamilyCounts = std::map<std::uint16_t, std::uint64_t>;

struct OtherFamilies {
  FamilyCounts held;  // by targets, as the last snapshot found them
  FamilyCounts left;  // open at the end of the only process that had them
};

}  // namespace sockleak
