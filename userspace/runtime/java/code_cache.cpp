// src/hotspot/share/memory/heap.cpp (CodeHeap::find_start) and code/codeCache.cpp of the HotSpot sources.
#include "runtime/java/code_cache.hpp"

#include <vector>

namespace sockleak {
namespace {

constexpr std::uint32_t kMostHeaps = 16;
constexpr std::uint8_t kFree = 0xff;
constexpr std::uint64_t kLargestFrame = 1u << 20;
constexpr std::uint64_t kLargestCode = 1u << 28;

/// The block that `address` lies in; 0 = none that is used.
std::uint64_t block_in(const TargetMemory& memory, const Hotspot& hotspot, std::uint64_t heap, std::uint64_t address) {
  const auto low = memory.value<std::uint64_t>(heap + hotspot.heap.low);
  const auto high = memory.value<std::uint64_t>(heap + hotspot.heap.high);
  if (!low || !high || address < *low || address >= *high) return 0;
  const auto map = memory.value<std::uint64_t>(heap + hotspot.heap.segment_map);
  const auto log2 = memory.value<std::int32_t>(heap + hotspot.heap.log2_segment);
  if (!map || !log2 || *log2 < 3 || *log2 > 20) return 0;
  std::uint64_t segment = (address - *low) >> *log2;
  // Each says how far back the begin of its block may lie; that is where it says 0.
  for (auto back = memory.value<std::uint8_t>(*map + segment);; back = memory.value<std::uint8_t>(*map + segment)) {
    if (!back || *back == kFree || *back > segment) return 0;
    if (*back == 0) break;
    segment -= *back;
  }
  const std::uint64_t block = *low + (segment << *log2);
  return memory.value<std::uint8_t>(block + hotspot.heap.used_at).value_or(0) == 1 ? block : 0;
}

CodeBlob::Kind kind_of(const std::string& name) {
  if (name == "nmethod") return CodeBlob::Kind::kMethod;
  if (name == "native nmethod") return CodeBlob::Kind::kNativeMethod;
  return name == "Interpreter" ? CodeBlob::Kind::kInterpreter : CodeBlob::Kind::kOther;
}

std::optional<CodeBlob> blob_at(const TargetMemory& memory, const Hotspot& hotspot, std::uint64_t start) {
  CodeBlob blob;
  blob.start = start;
  const auto& at = hotspot.blob;
  const auto name = memory.value<std::uint64_t>(start + at.name);
  const auto text = name ? memory.text(*name) : std::nullopt;
  const auto frame_words = memory.value<std::int32_t>(start + at.frame_size);
  if (!text || !frame_words) return std::nullopt;
  blob.name = *text;
  blob.kind = kind_of(blob.name);
  if (at.code_is_offset) {
    const auto begin = memory.value<std::int32_t>(start + at.code_begin), end = memory.value<std::int32_t>(start + at.code_end);
    if (!begin || !end || *begin < 0 || *end < *begin) return std::nullopt;
    blob.code_begin = start + static_cast<std::uint64_t>(*begin);
    blob.code_end = start + static_cast<std::uint64_t>(*end);
  } else {
    const auto begin = memory.value<std::uint64_t>(start + at.code_begin), end = memory.value<std::uint64_t>(start + at.code_end);
    if (!begin || !end) return std::nullopt;
    blob.code_begin = *begin;
    blob.code_end = *end;
  }
  if (blob.code_begin < start || blob.code_end < blob.code_begin || blob.code_end - start > kLargestCode) return std::nullopt;
  if (*frame_words > 0 && static_cast<std::uint64_t>(*frame_words) * 8 <= kLargestFrame) {
    blob.frame_bytes = static_cast<std::uint64_t>(*frame_words) * 8;
  }
  const auto complete = at.short_frame_complete
                            ? std::optional<std::int64_t>(memory.value<std::int16_t>(start + at.frame_complete))
                            : std::optional<std::int64_t>(memory.value<std::int32_t>(start + at.frame_complete));
  if (!complete) return std::nullopt;
  blob.frame_complete = *complete;
  return blob;
}

}  // namespace

std::optional<CodeBlob> code_at(const TargetMemory& memory, const Hotspot& hotspot, std::uint64_t address) {
  const auto heaps = memory.value<std::uint64_t>(hotspot.heaps);
  if (!heaps || *heaps == 0) return std::nullopt;
  const auto count = memory.value<std::uint32_t>(*heaps + hotspot.array.length);
  const auto data = memory.value<std::uint64_t>(*heaps + hotspot.array.data);
  if (!count || !data || *count > kMostHeaps) return std::nullopt;
  for (std::uint32_t i = 0; i < *count; ++i) {
    const auto heap = memory.value<std::uint64_t>(*data + i * 8);
    if (!heap) return std::nullopt;
    const std::uint64_t block = block_in(memory, hotspot, *heap, address);
    if (block == 0) continue;
    auto blob = blob_at(memory, hotspot, block + hotspot.heap.block_header);
    if (!blob || address < blob->code_begin || address > blob->code_end) return std::nullopt;
    return blob;
  }
  return std::nullopt;
}

}  // namespace sockleak
