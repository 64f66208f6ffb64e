// Which stacks an event names, to wait for those that are still on their way.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <span>

#include "base/ids.hpp"
#include "stack/unwind_rule.hpp"

namespace sockleak {

class StackMentions {
 public:
  explicit StackMentions(std::span<const std::byte> record) : record_(record) {
    sl_header header{};
    if (record.size() >= sizeof(header)) std::memcpy(&header, record.data(), sizeof(header));
    if (header.type == SL_SOCKET_CREATED) add(offsetof(sl_socket_created, stack));
    if (header.type == SL_SOCKET_ACCEPTED) add(offsetof(sl_socket_accepted, stack));
    if (header.type == SL_SOCKET_CLOSED) add(offsetof(sl_socket_closed, stack));
    if (header.type == SL_SOCKET_TOUCHED) add(offsetof(sl_socket_touched, touch.stack));
    if (header.type == SL_SOCKET_WAITED) add(offsetof(sl_socket_waited, stack));
    if (header.type == SL_SOCKET_GOROUTINE) add(offsetof(sl_socket_goroutine, created_at));
    if (header.type != SL_GOROUTINE_ANCESTORS) return;
    for (std::size_t i = 0; i < SL_MAX_ANCESTORS; ++i) {
      add(offsetof(sl_goroutine_ancestors, ancestors) + i * sizeof(sl_ancestor) + offsetof(sl_ancestor, stack));
    }
  }

  /// Asks until the answer is no. A ticket may be asked for only once: an event that names one names nothing else.
  template <typename Predicate>
  [[nodiscard]] bool all(Predicate predicate) const {
    return std::all_of(stacks_.begin(), stacks_.begin() + count_, predicate);
  }

 private:
  void add(std::size_t at) {
    std::uint64_t hash = 0;
    if (record_.size() >= at + sizeof(hash)) std::memcpy(&hash, record_.data() + at, sizeof(hash));
    if (hash != 0) stacks_[count_++] = StackHash{hash};
  }

  std::span<const std::byte> record_;
  std::array<StackHash, SL_MAX_ANCESTORS> stacks_{};
  std::ptrdiff_t count_ = 0;
};

}  // namespace sockleak
