// A process's memory in which a HotSpot of our own making lies, and a description of where it keeps things.
#pragma once

#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/java/hotspot.hpp"
#include "runtime/java/target_memory.hpp"

namespace sockleak {

class FakeMemory final : public TargetMemory {
 public:
  static constexpr std::uint64_t kPage = 4096;

  [[nodiscard]] bool read(std::uint64_t address, std::span<std::byte> out) const override {
    ++reads;
    for (std::byte& byte : out) {
      const auto page = pages_.find(address / kPage);
      if (page == pages_.end()) return false;
      byte = page->second[address++ % kPage];
    }
    return true;
  }
  void put_bytes(std::uint64_t address, std::span<const std::byte> bytes) {
    for (const std::byte byte : bytes) {
      auto& page = pages_[address / kPage];
      page.resize(kPage);
      page[address++ % kPage] = byte;
    }
  }
  template <typename T>
  void put(std::uint64_t address, T value) {
    put_bytes(address, std::as_bytes(std::span(&value, 1)));
  }
  void put_text(std::uint64_t address, std::string_view text) {
    put_bytes(address, std::as_bytes(std::span(text)));
    put(address + text.size(), '\0');
  }
  /// Changes a byte that is there.
  void flip(std::size_t which, std::size_t bits) {
    std::size_t size = 0;
    for (auto& [number, page] : pages_) {
      if (which - size < page.size()) {
        page[which - size] ^= static_cast<std::byte>(bits);
        return;
      }
      size += page.size();
    }
  }
  [[nodiscard]] std::size_t size() const { return pages_.size() * kPage; }

  mutable std::uint64_t reads = 0;

 private:
  std::map<std::uint64_t, std::vector<std::byte>> pages_;
};

/// One code heap with an interpreter, a compiled method `acme.Orders.place` into which `acme.Orders.dial` was inlined, and
/// their classes, laid out as in JDK 17.
class FakeHotspot {
 public:
  static constexpr std::uint64_t kHeaps = 0x1000, kHeap = 0x2000, kSegments = 0x3000, kLow = 0x100000, kSegment = 128;
  static constexpr std::uint64_t kInterpreter = kLow, kCompiled = kLow + 16 * kSegment, kFree = kLow + 40 * kSegment;
  static constexpr std::uint64_t kHigh = kLow + 64 * kSegment, kReturn = kCompiled + 0x200 + 0x40;
  static constexpr std::uint64_t kPlace = 0x50000, kDial = 0x51000, kNative = 0x52000;
  static constexpr std::uint32_t kDialIndex = 12, kPlaceIndex = 300;

  FakeHotspot() {
    hotspot.version = 17;
    hotspot.heaps = 0x800;
    hotspot.heap = {.low = 24, .high = 32, .segment_map = 136, .log2_segment = 256, .block_header = 16, .used_at = 8};
    hotspot.array = {.length = 0, .data = 8};
    hotspot.blob = {.name = 96, .frame_size = 28, .frame_complete = 20, .code_begin = 32, .code_end = 40, .size = 12,
                    .code_is_offset = false, .short_frame_complete = false};
    hotspot.compiled = {.method = 112, .compile_id = 304, .deopt_handler = 128, .deopt_mh_handler = 136, .has_scopes = true};
    hotspot.scopes = {.pcs = 268, .pcs_end = 272, .data = 120, .metadata = 260, .immutable = 0, .mutable_data = 0,
                      .relocation_size = 0, .moved = false};
    hotspot.pc_desc = {.size = 16, .pc = 0, .scope = 4};
    hotspot.method = {.const_method = 8, .constants = 8, .flags = 28, .code_size = 32, .name = 34, .bytecode = 48,
                      .has_lines = 1, .holder = 24, .pool = 72, .length = 60, .source_file = 54, .class_name = 24,
                      .symbol_length = 4, .symbol_body = 6};
    make_heap();
    make_method(kPlace, "acme/Orders", "place", 400, {{0, 10}, {296, 15}, {310, 12}});
    make_method(kDial, "acme/Orders", "dial", 20, {{0, 5}, {10, 6}});
    make_method(kNative, "acme/Orders$$Lambda$14+0x0000000800c03000", "get", 0, {});
  }

  FakeMemory memory;
  Hotspot hotspot{};

 private:
  static void number(std::vector<std::byte>& to, std::uint32_t value) {
    while (value >= 192) {
      value -= 192;
      to.push_back(static_cast<std::byte>(192 + (value & 63)));
      value >>= 6;
    }
    to.push_back(static_cast<std::byte>(value));
  }
  static std::uint32_t zigzag(std::int32_t value) {
    return (static_cast<std::uint32_t>(value) << 1) ^ static_cast<std::uint32_t>(value >> 31);
  }

  void blob(std::uint64_t block, std::uint64_t size, std::string_view name, std::uint64_t header, std::int32_t frame_words) {
    for (std::uint64_t i = 0; i < size / kSegment; ++i) {
      memory.put<std::uint8_t>(kSegments + (block - kLow) / kSegment + i, static_cast<std::uint8_t>(i));
    }
    memory.put<std::uint8_t>(block + 8, 1);  // used
    const std::uint64_t start = block + 16;
    memory.put(start + 96, start + header - 64);
    memory.put_text(start + header - 64, name);
    memory.put<std::int32_t>(start + 28, frame_words);
    memory.put<std::int32_t>(start + 20, 8);
    memory.put(start + 32, block + 0x200);
    memory.put(start + 40, block + size - 0x100);
  }

  void make_heap() {
    memory.put(hotspot.heaps, kHeaps);
    memory.put<std::uint32_t>(kHeaps, 1);
    memory.put<std::uint64_t>(kHeaps + 8, kHeaps + 64);
    memory.put(kHeaps + 64, kHeap);
    memory.put(kHeap + 24, kLow);
    memory.put(kHeap + 32, kHigh);
    memory.put(kHeap + 136, kSegments);
    memory.put<std::int32_t>(kHeap + 256, 7);
    for (std::uint64_t i = 0; i < 64; ++i) memory.put<std::uint8_t>(kSegments + i, 0xff);
    blob(kInterpreter, 16 * kSegment, "Interpreter", 0x180, 0);
    blob(kCompiled, 24 * kSegment, "nmethod", 0x1c0, 6);
    const std::uint64_t start = kCompiled + 16, pcs = 0x800, metadata = 0x900, data = 0xa00;
    memory.put(start + 112, kPlace);
    memory.put<std::int32_t>(start + 304, 77);
    memory.put(start + 128, kCompiled + 0x300);
    memory.put(start + 136, kCompiled + 0x310);
    memory.put<std::int32_t>(start + 268, pcs);
    memory.put<std::int32_t>(start + 272, pcs + 32);
    memory.put(start + 120, start + data);
    memory.put<std::int32_t>(start + 260, metadata);
    memory.put(start + metadata, kPlace);
    memory.put(start + metadata + 8, kDial);
    std::vector<std::byte> scopes(1);
    const auto outer = static_cast<std::uint32_t>(scopes.size());
    for (const std::uint32_t value : {0U, 1U, kPlaceIndex + 1, 0U, 0U, 0U}) number(scopes, value);
    const auto inner = static_cast<std::int32_t>(scopes.size());
    for (const std::uint32_t value : {outer, 2U, kDialIndex + 1, 0U, 0U, 0U}) number(scopes, value);
    memory.put_bytes(start + data, scopes);
    memory.put<std::int32_t>(start + pcs, -1);
    memory.put<std::int32_t>(start + pcs + 16, static_cast<std::int32_t>(kReturn - (kCompiled + 0x200)));
    memory.put<std::int32_t>(start + pcs + 20, inner);
  }

  void make_symbol(std::uint64_t at, std::string_view text) {
    memory.put<std::uint16_t>(at + 4, static_cast<std::uint16_t>(text.size()));
    memory.put_bytes(at + 6, std::as_bytes(std::span(text)));
  }

  void make_method(std::uint64_t at, std::string_view of_class, std::string_view name, std::uint16_t bytes,
                   const std::vector<std::pair<int, int>>& lines) {
    const std::uint64_t fixed = at + 0x100, pool = at + 0x800, holder = at + 0x900, symbols = at + 0xa00;
    memory.put(at + 8, fixed);
    memory.put(fixed + 8, pool);
    memory.put<std::uint16_t>(fixed + 28, lines.empty() ? 0 : 1);
    memory.put<std::uint16_t>(fixed + 32, bytes);
    memory.put<std::uint16_t>(fixed + 34, 1);
    memory.put(pool + 24, holder);
    memory.put<std::int32_t>(pool + 60, 3);
    memory.put<std::uint16_t>(pool + 54, 2);
    memory.put(pool + 72 + 8, symbols + 256);
    memory.put(pool + 72 + 16, symbols + 384);
    memory.put(holder + 24, symbols);
    make_symbol(symbols, of_class);
    make_symbol(symbols + 256, name);
    make_symbol(symbols + 384, "Orders.java");
    std::vector<std::byte> table;
    int last_index = 0, last_line = 0;
    for (const auto& [index, line] : lines) {
      const int further = index - last_index, down = line - last_line;
      if (further < 31 && down >= 0 && down < 8) {
        table.push_back(static_cast<std::byte>(further << 3 | down));
      } else {
        table.push_back(std::byte{0xff});
        number(table, zigzag(further));
        number(table, zigzag(down));
      }
      last_index = index;
      last_line = line;
    }
    table.push_back(std::byte{0});
    memory.put_bytes(fixed + 48 + bytes, table);
  }
};

}  // namespace sockleak
