// Address ranges that may overlap, asked many times which one holds an address.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

namespace sockleak {

class RangeIndex {
 public:
  void add(std::uint64_t start, std::uint64_t end, std::uint64_t value) {
    if (start < end) ranges_.push_back({start, end, end, value});
  }

  /// Call after the last add() and before the first find(). Of equal ranges the first added wins.
  void sort() {
    std::ranges::reverse(ranges_);
    std::ranges::stable_sort(ranges_, {}, &Range::start);
    std::uint64_t largest = 0;
    for (Range& range : ranges_) range.largest_end = largest = std::max(largest, range.end);
  }

  /// The value of the range that starts last among those that hold `address`.
  [[nodiscard]] std::optional<std::uint64_t> find(std::uint64_t address) const {
    auto range = std::ranges::upper_bound(ranges_, address, {}, &Range::start);
    while (range != ranges_.begin() && (--range)->largest_end > address) {
      if (range->end > address) return range->value;
    }
    return std::nullopt;
  }

  [[nodiscard]] std::size_t size() const { return ranges_.size(); }

 private:
  struct Range {
    std::uint64_t start, end;
    std::uint64_t largest_end;  // of this and all ranges before it: bounds the search
    std::uint64_t value;
  };
  std::vector<Range> ranges_;
};

}  // namespace sockleak
