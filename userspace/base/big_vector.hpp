// Vectors of many megabytes that are filled at once: most of the time of that would be page faults.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <vector>

namespace sockleak {

/// Reserves, and asks for huge pages where the kernel has them (transparent_hugepage: madvise or always).
template <typename T>
void reserve_big(std::vector<T>& vector, std::size_t count) {
  constexpr std::uintptr_t kHugePage = std::uintptr_t{2} << 20U;
  vector.reserve(count);
  const auto begin = (reinterpret_cast<std::uintptr_t>(vector.data()) + kHugePage - 1) & ~(kHugePage - 1);
  const auto end = reinterpret_cast<std::uintptr_t>(vector.data() + vector.capacity()) & ~(kHugePage - 1);
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
}

}  // namespace sockleak
