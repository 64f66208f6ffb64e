// A Symbolizer that knows what naming cost.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/time.hpp"
#include "symbolize/symbolizer.hpp"

namespace sockleak {

class TimedSymbolizer final : public Symbolizer {
 public:
  /// Borrows.
  explicit TimedSymbolizer(Symbolizer& symbolizer) : symbolizer_(symbolizer) {}

  Stack symbolize(const MappedStack& stack) override {
    const auto begin = std::chrono::steady_clock::now();
    Stack named = symbolizer_.symbolize(stack);
    time_ += std::chrono::steady_clock::now() - begin;
    ++stacks_;
    frames_ += named.frames.size();
    return named;
  }

  [[nodiscard]] std::uint64_t stacks() const { return stacks_; }
  [[nodiscard]] std::uint64_t frames() const { return frames_; }
  [[nodiscard]] Duration time() const { return time_; }

 private:
  Symbolizer& symbolizer_;
  std::uint64_t stacks_ = 0, frames_ = 0;
  Duration time_{};
};

}  // namespace sockleak
