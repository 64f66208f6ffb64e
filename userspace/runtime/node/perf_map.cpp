#include "runtime/node/perf_map.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace sockleak {
namespace {

std::optional<std::uint64_t> take_hex(std::string_view& line) {
  if (line.starts_with("0x") || line.starts_with("0X")) line.remove_prefix(2);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value, 16);
  if (error != std::errc()) return std::nullopt;
  line.remove_prefix(static_cast<std::size_t>(end - line.data()));
  const std::size_t next = line.find_first_not_of(" \t");
  if (next == 0 || next == std::string_view::npos) return std::nullopt;  // a blank must follow, and then something
  line.remove_prefix(next);
  return value;
}

/// Takes ":123" from the end; 0 = there is none.
std::uint32_t take_number(std::string_view& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == text.size()) return 0;
  std::uint32_t value = 0;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data() + colon + 1, last, value);
  if (error != std::errc() || end != last) return 0;
  text = text.substr(0, colon);
  return value;
}

Frame v8_frame(std::string_view name) {
  Frame frame;
  frame.kind = FrameKind::kNode;
  static constexpr std::array<std::string_view, 6> kJavaScript{"JS:",           "LazyCompile:", "Function:",
                                                               "InterpretedFunction:", "Script:", "Eval:"};
  const auto* const prefix =
      std::ranges::find_if(kJavaScript, [&](std::string_view known) { return name.starts_with(known); });
  if (prefix == kJavaScript.end()) {
    frame.function = name;
    return frame;
  }
  name.remove_prefix(prefix->size());
  name = name.substr(std::min(name.find_first_not_of("*~^+"), name.size()));
  const std::size_t blank = name.find(' ');
  frame.function = name.substr(0, blank);
  if (frame.function.empty()) frame.function = "(anonymous)";
  if (blank == std::string_view::npos) return frame;
  std::string_view place = name.substr(blank + 1);
  const std::string_view whole = place;
  const std::uint32_t last = take_number(place);
  const std::string_view without_column = place;
  const std::uint32_t line = last == 0 ? 0 : take_number(place);
  frame.line = line != 0 ? line : last;
  frame.file = line != 0 ? place : last != 0 ? without_column : whole;
  return frame;
}

}  // namespace

void PerfMap::read(std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto start = take_hex(line);
    const auto size = start ? take_hex(line) : std::nullopt;
    if (!size || *size == 0 || *start + *size < *start || entries_.size() >= kMaxEntries) {
      ++malformed_;
      continue;
    }
    entries_[*start] = {*size, std::string(line.substr(0, kMaxName))};
  }
}

std::string_view PerfMap::find(std::uint64_t address) const {
  auto next = entries_.upper_bound(address);
  if (next == entries_.begin()) return {};
  const auto& [start, code] = *std::prev(next);
  return address - start < code.size ? std::string_view(code.name) : std::string_view();
}

Frame jit_frame(FrameKind kind, std::string_view name) {
  if (kind == FrameKind::kNode) return v8_frame(name);
  Frame frame;
  frame.kind = kind;
  frame.function = name;
  return frame;
}

}  // namespace sockleak
