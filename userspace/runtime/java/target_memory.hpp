// The memory of a traced process, as far as it can be read now. Whatever is read from it may be anything.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace sockleak {

class TargetMemory {
 public:
  virtual ~TargetMemory() = default;
  /// False unless all of it could be read.
  [[nodiscard]] virtual bool read(std::uint64_t address, std::span<std::byte> out) const = 0;

  template <typename T>
  [[nodiscard]] std::optional<T> value(std::uint64_t address) const {
    T value{};
    if (!read(address, std::as_writable_bytes(std::span(&value, 1)))) return std::nullopt;
    return value;
  }

  /// The zero-terminated text at `address`; nullopt if it cannot be read or has no end within `limit` characters.
  [[nodiscard]] std::optional<std::string> text(std::uint64_t address, std::size_t limit = 256) const {
    std::string text;
    std::array<char, 64> part{};
    while (text.size() < limit) {
      // Parts end where 64 bytes do, so that none reaches into a page that is not there.
      const std::size_t length = part.size() - (address + text.size()) % part.size();
      if (!read(address + text.size(), std::as_writable_bytes(std::span(part).first(length)))) return std::nullopt;
      const auto rest = std::span(part).first(length);
      const auto end = std::ranges::find(rest, '\0');
      text.append(rest.begin(), end);
      if (end != rest.end()) return text;
    }
    return std::nullopt;
  }
};

}  // namespace sockleak
