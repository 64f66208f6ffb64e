// HotSpot's compressed numbers (UNSIGNED5, src/hotspot/share/utilities/unsigned5.hpp; up to JDK 19 in
// code/compressedStream.hpp): up to five bytes, six bits a byte above the lowest, of which 192 and more say that the
// number goes on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sockleak {

class CompressedStream {
 public:
  /// `excluded`: what is taken off each byte, so that none is zero.
  CompressedStream(std::span<const std::byte> bytes, std::uint8_t excluded) : rest_(bytes), excluded_(excluded) {}

  unsigned byte() {
    if (rest_.empty()) {
      ended_ = true;
      return 0;
    }
    const auto value = std::to_integer<unsigned>(rest_.front());
    rest_ = rest_.subspan(1);
    return value;
  }
  std::uint32_t number() {
    const std::uint32_t low = 256U - 64U - excluded_;
    std::uint32_t value = 0;
    for (unsigned shift = 0; shift <= 24 && !ended_; shift += 6) {
      const unsigned next = byte();
      if (next < excluded_) ended_ = true;  // no such byte occurs in a number
      value += (next - excluded_) << shift;
      if (next - excluded_ < low) break;
    }
    return value;
  }
  std::int32_t signed_number() {
    const std::uint32_t value = number();
    return static_cast<std::int32_t>((value >> 1) ^ (0U - (value & 1U)));
  }
  /// A number was read beyond the end: nothing that was read is good.
  [[nodiscard]] bool ended() const { return ended_; }

 private:
  std::span<const std::byte> rest_;
  std::uint8_t excluded_;
  bool ended_ = false;
};

}  // namespace sockleak
