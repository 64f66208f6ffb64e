// Events that came before the stack that the first of them names: kept in their order until it is there.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <span>
#include <vector>

#include "source/marks.hpp"

namespace sockleak {

class HeldEvents {
 public:
  [[nodiscard]] bool empty() const { return events_.empty(); }

  void add(std::span<const std::byte> event) {
    if (events_.empty()) since_ = now();
    events_.emplace_back(event.begin(), event.end());
  }

  /// Hands on those whose stack is not lacking any more, or has been waited for long enough.
  template <class Lacks, class Deliver>
  void release(const Lacks& lacks_stack, const Deliver& deliver) {
    while (!events_.empty()) {
      if (lacks_stack(events_.front()) && now() - since_ < kLongest) return;
      deliver(events_.front());
      events_.pop_front();
      since_ = now();
    }
  }

 private:
  // A processor finishes a record it has reserved within microseconds, unless a hypervisor stops it in between.
  static constexpr Duration kLongest = std::chrono::seconds(1);

  std::deque<std::vector<std::byte>> events_;
  KernelTime since_;
};

}  // namespace sockleak
