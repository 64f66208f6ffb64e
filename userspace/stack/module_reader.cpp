#include "stack/module_reader.hpp"

#include <unistd.h>

#include <algorithm>

namespace sockleak {

const ModuleReader::Page* ModuleReader::page(std::size_t segment, std::uint64_t number) {
  const std::uint64_t key = (std::uint64_t{segment} << 48) ^ number;
  if (auto known = pages_.find(key); known != pages_.end()) return &known->second;
  if (pages_.size() >= kMaxPages) pages_.clear();
  Page& fresh = pages_[key];
  const Module::Segment& whole = segments_[segment];
  const std::uint64_t start = number * kPage;
  const std::size_t wanted = std::min<std::uint64_t>(kPage, whole.file_size - start);
  const ssize_t got = ::pread(fd_, fresh.bytes.data(), wanted, static_cast<off_t>(whole.offset + start));
  fresh.size = got > 0 ? static_cast<std::size_t>(got) : 0;
  return &fresh;
}

bool ModuleReader::copy(std::uint64_t address, std::span<std::byte> out) {
  if (fd_ < 0) return false;
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    const Module::Segment& segment = segments_[i];
    if (address < segment.address || address - segment.address >= segment.file_size) continue;
    std::uint64_t inside = address - segment.address;
    if (out.size() > segment.file_size - inside) return false;
    while (!out.empty()) {
      const Page* from = page(i, inside / kPage);
      const std::size_t offset = inside % kPage;
      if (offset >= from->size) return false;
      const std::size_t length = std::min(out.size(), from->size - offset);
      std::memcpy(out.data(), from->bytes.data() + offset, length);
      out = out.subspan(length);
      inside += length;
    }
    return true;
  }
  return false;
}

std::string ModuleReader::text(std::uint64_t address, std::size_t limit) {
  std::string text;
  while (text.size() < limit) {
    const auto next = value<char>(address + text.size());
    if (!next || *next == '\0') break;
    text += *next;
  }
  return text;
}

bool ModuleReader::scan(std::uint64_t wanted, std::size_t size, std::size_t alignment,
                        const std::function<bool(std::uint64_t address)>& found) {
  constexpr std::size_t kChunk = 1u << 18;
  std::vector<std::byte> chunk(kChunk);
  for (const Module::Segment& segment : segments_) {
    const std::uint64_t skew = (alignment - segment.address % alignment) % alignment;  // to the first aligned address
    for (std::uint64_t start = skew; start + size <= segment.file_size; start += kChunk) {
      const std::size_t length = std::min<std::uint64_t>(kChunk, segment.file_size - start);
      const ssize_t got = ::pread(fd_, chunk.data(), length, static_cast<off_t>(segment.offset + start));
      if (got <= 0) break;
      for (std::size_t at = 0; at + size <= static_cast<std::size_t>(got); at += alignment) {
        if (std::memcmp(chunk.data() + at, &wanted, size) == 0 && found(segment.address + start + at)) return true;
      }
    }
  }
  return false;
}

}  // namespace sockleak
