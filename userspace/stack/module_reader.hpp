// A module's file by virtual address, for tables that are looked into at many small places: pages are read once and
// kept. Reads, not a memory map: whoever truncates the file meanwhile must not kill us with SIGBUS.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "stack/module_store.hpp"

namespace sockleak {

class ModuleReader {
 public:
  /// Borrows the module's descriptor, which its store keeps open.
  explicit ModuleReader(const Module& module) : fd_(module.fd.get()), segments_(module.segments) {}

  /// The T at file virtual address `address`; nullopt unless the file has all of it.
  template <typename T>
  [[nodiscard]] std::optional<T> value(std::uint64_t address) {
    T value{};
    if (!copy(address, std::as_writable_bytes(std::span(&value, 1)))) return std::nullopt;
    return value;
  }
  [[nodiscard]] bool copy(std::uint64_t address, std::span<std::byte> out);

  /// The zero-terminated text at `address`, cut at `limit` characters; empty if it cannot be read.
  [[nodiscard]] std::string text(std::uint64_t address, std::size_t limit);

  /// Calls `found` with the address of every word of `alignment` bytes that equals `wanted` in its first
  /// sizeof(wanted) bytes, until `found` says true. Goes through the whole file: once per module at most.
  bool scan(std::uint64_t wanted, std::size_t size, std::size_t alignment,
            const std::function<bool(std::uint64_t address)>& found);

 private:
  static constexpr std::size_t kPage = 4096;
  static constexpr std::size_t kMaxPages = 256;  // 1 MB per module; then start anew
  struct Page {
    std::size_t size = 0;
    std::array<std::byte, kPage> bytes;
  };
  const Page* page(std::size_t segment, std::uint64_t number);

  int fd_;
  std::vector<Module::Segment> segments_;
  std::unordered_map<std::uint64_t, Page> pages_;  // by segment and page number
};

}  // namespace sockleak
