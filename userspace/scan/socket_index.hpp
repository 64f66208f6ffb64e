// Which place a key has in a table: open addressing, because of a look at 100 000 sockets an ordinary hash map, which
// allocates for each, would take a quarter.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "base/big_vector.hpp"

namespace sockleak {

class SocketIndex {
 public:
  explicit SocketIndex(std::size_t expected) {
    std::size_t size = 64;
    while (size < expected * 2) size *= 2;
    reserve_big(slots_, size);
    slots_.resize(size);
  }

  /// False if the key has a place already.
  bool insert(std::uint64_t key, std::size_t place) {
    if ((used_ + 1) * 2 > slots_.size()) grow();
    Slot& slot = slots_[find_slot(key)];
    if (slot.place != kEmpty) return false;
    slot = {key, static_cast<std::uint32_t>(place)};
    ++used_;
    return true;
  }

  [[nodiscard]] std::optional<std::size_t> find(std::uint64_t key) const {
    const Slot& slot = slots_[find_slot(key)];
    return slot.place == kEmpty ? std::nullopt : std::optional<std::size_t>(slot.place);
  }

 private:
  static constexpr std::uint32_t kEmpty = std::numeric_limits<std::uint32_t>::max();
  struct Slot {
    std::uint64_t key = 0;
    std::uint32_t place = kEmpty;
  };

  /// Where the key is, or would be.
  [[nodiscard]] std::size_t find_slot(std::uint64_t key) const {
    std::size_t at = (key * 0x9E3779B97F4A7C15U) >> 20U;  // the high bits are the mixed ones
    for (;; ++at) {
      const Slot& slot = slots_[at & (slots_.size() - 1)];
      if (slot.place == kEmpty || slot.key == key) return at & (slots_.size() - 1);
    }
  }

  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.place != kEmpty) slots_[find_slot(slot.key)] = slot;
    }
  }

  std::vector<Slot> slots_;
  std::size_t used_ = 0;
};

}  // namespace sockleak
