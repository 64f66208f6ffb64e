// The bytes of a .slk file, shared by its writer and its reader: docs/recording-format.md is their description.
// Private to event/.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace sockleak::slk {

// Numbers are copied as they stand, and wire records are the recording machine's own bytes.
static_assert(std::endian::native == std::endian::little);

inline constexpr std::string_view kMagic = "SOCKLEAK";
inline constexpr std::uint32_t kVersion = 2;
inline constexpr std::uint32_t kOldestVersion = 1;  // frames do not say why a name is missing
inline constexpr std::size_t kFileHeaderSize = 16;  // magic, version, reserved
inline constexpr std::size_t kChunkHeaderSize = 8;  // kind, compressed size

enum class Chunk : std::uint32_t { kRecords = 1, kModules = 2, kStacks = 3, kEnding = 4 };
enum class Item : std::uint32_t { kRecord = 1, kStack = 2 };

// Limits that the writer keeps and the reader demands, so that a forged file cannot ask for much memory.
inline constexpr std::size_t kBatchSize = std::size_t{256} * 1024;       // raw bytes after which a chunk is closed
inline constexpr std::size_t kMaxChunk = std::size_t{16} * 1024 * 1024;  // raw bytes of one chunk
inline constexpr std::uint64_t kMaxTotal = 4ULL << 30;                   // raw bytes of one file
inline constexpr std::size_t kMinRecord = 32;                            // an sl_header
inline constexpr std::size_t kMaxRecord = std::size_t{64} * 1024;
inline constexpr std::size_t kMaxFrames = 4096;                    // 127 walked ones, each with its inlined ones
inline constexpr std::size_t kMaxString = std::size_t{64} * 1024;  // longer strings are cut
inline constexpr std::size_t kMaxJson = std::size_t{8} * 1024 * 1024;

/// Appends numbers and strings.
class ByteWriter {
 public:
  template <typename T>
  void number(T value) {
    static_assert(std::is_integral_v<T> || std::is_enum_v<T>);
    std::array<std::byte, sizeof(T)> copy;
    std::memcpy(copy.data(), &value, sizeof(T));
    bytes_.insert(bytes_.end(), copy.begin(), copy.end());
  }
  void raw(std::span<const std::byte> data) { bytes_.insert(bytes_.end(), data.begin(), data.end()); }
  void string(std::string_view text, std::size_t limit = kMaxString) {
    text = text.substr(0, limit);
    number(static_cast<std::uint32_t>(text.size()));
    raw(std::as_bytes(std::span(text)));
  }
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  void clear() { bytes_.clear(); }

 private:
  std::vector<std::byte> bytes_;
};

/// Takes numbers and strings from the front. After the first thing that is not there every further one is zero or
/// empty and ok() is false: check once at the end of a structure.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : rest_(bytes) {}

  template <typename T>
  T number() {
    static_assert(std::is_integral_v<T>);
    T value{};
    const auto data = raw(sizeof(T));
    if (ok_) std::memcpy(&value, data.data(), sizeof(T));
    return value;
  }
  std::span<const std::byte> raw(std::size_t size) {
    if (!ok_ || size > rest_.size()) {
      ok_ = false;
      return {};
    }
    const auto front = rest_.first(size);
    rest_ = rest_.subspan(size);
    return front;
  }
  std::string string(std::size_t limit = kMaxString) {
    const auto size = count(limit);
    const auto data = raw(size);
    return data.empty() ? std::string() : std::string(reinterpret_cast<const char*>(data.data()), data.size());
  }
  /// A u32 that must not exceed `limit`.
  std::size_t count(std::size_t limit) {
    const auto value = number<std::uint32_t>();
    if (value > limit) ok_ = false;
    return ok_ ? value : 0;
  }
  void reject() { ok_ = false; }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::size_t size() const { return rest_.size(); }

 private:
  std::span<const std::byte> rest_;
  bool ok_ = true;
};

}  // namespace sockleak::slk
