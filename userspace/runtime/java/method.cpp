// src/hotspot/share/oops/{method,constMethod,constantPool,symbol}.hpp of the HotSpot sources.
#include "runtime/java/method.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

#include "runtime/java/compressed_stream.hpp"

namespace sockleak {
namespace {

constexpr std::uint16_t kLongestName = 1024;
constexpr std::size_t kLargestTable = 1u << 16;  // bytes; two to three an entry

std::optional<std::string> symbol(const TargetMemory& memory, const Hotspot& hotspot, std::uint64_t address) {
  const auto length = memory.value<std::uint16_t>(address + hotspot.method.symbol_length);
  if (!length || *length == 0 || *length > kLongestName) return std::nullopt;
  std::string text(*length, '\0');
  if (!memory.read(address + hotspot.method.symbol_body, std::as_writable_bytes(std::span(text)))) return std::nullopt;
  if (text.find('\0') != std::string::npos) return std::nullopt;
  return text;
}

std::optional<std::string> pool_symbol(const TargetMemory& memory, const Hotspot& hotspot, std::uint64_t pool, std::uint16_t index) {
  const auto length = memory.value<std::int32_t>(pool + hotspot.method.length);
  if (!length || index == 0 || index >= *length) return std::nullopt;
  const auto entry = memory.value<std::uint64_t>(pool + hotspot.method.pool + std::uint64_t{index} * 8);
  return entry ? symbol(memory, hotspot, *entry) : std::nullopt;
}

/// "com/acme/Orders$$Lambda$14+0x0000000800c03000": a hidden class; what follows differs from run to run.
std::string class_name(std::string name) {
  name.resize(std::min(name.find('+'), name.size()));
  constexpr std::string_view kLambda = "$$Lambda";
  if (const std::size_t lambda = name.find(kLambda); lambda != std::string::npos) name.resize(lambda + kLambda.size());
  std::replace(name.begin(), name.end(), '/', '.');
  return name;
}

}  // namespace

std::optional<JavaMethod> read_method(const TargetMemory& memory, const Hotspot& hotspot, std::uint64_t address) {
  const auto& at = hotspot.method;
  const auto fixed = memory.value<std::uint64_t>(address + at.const_method);
  if (!fixed) return std::nullopt;
  const auto pool = memory.value<std::uint64_t>(*fixed + at.constants);
  const auto flags = memory.value<std::uint16_t>(*fixed + at.flags);
  const auto bytes = memory.value<std::uint16_t>(*fixed + at.code_size);
  const auto name_index = memory.value<std::uint16_t>(*fixed + at.name);
  if (!pool || !flags || !bytes || !name_index) return std::nullopt;
  const auto holder = memory.value<std::uint64_t>(*pool + at.holder);
  const auto class_symbol = holder ? memory.value<std::uint64_t>(*holder + at.class_name) : std::nullopt;
  const auto of_class = class_symbol ? symbol(memory, hotspot, *class_symbol) : std::nullopt;
  const auto name = pool_symbol(memory, hotspot, *pool, *name_index);
  if (!of_class || !name) return std::nullopt;
  JavaMethod method;
  method.name = class_name(*of_class) + '.' + *name;
  const std::uint64_t says_file = hotspot.source_file_in_class ? *holder : *pool;
  const auto file_index = memory.value<std::uint16_t>(says_file + at.source_file);
  if (file_index && *file_index != 0) method.file = pool_symbol(memory, hotspot, *pool, *file_index).value_or("");
  method.bytecode = *fixed + at.bytecode;
  method.bytecodes = *bytes;
  method.has_lines = (*flags & at.has_lines) != 0;
  return method;
}

// CompressedLineNumberReadStream: so many bytecodes further on it is so many lines further down; five and three bits of
// one byte if that does.
std::uint32_t line_of(const TargetMemory& memory, const Hotspot& hotspot, const JavaMethod& method, std::uint32_t index) {
  constexpr unsigned kEnd = 0, kLong = 0xff;
  if (!method.has_lines || index >= method.bytecodes) return 0;
  std::vector<std::byte> table;
  const std::uint64_t begin = method.bytecode + method.bytecodes;
  std::int64_t at = 0, line = 0, best = -1, best_line = 0;
  // Where it ends is not said: it is read in pieces until it has.
  for (std::size_t size = 256; size <= kLargestTable; size *= 4) {
    table.resize(size);
    if (!memory.read(begin, table)) {
      table.resize(4096 - begin % 4096);  // what is left of the page
      if (table.size() > size || !memory.read(begin, table)) return 0;
      size = kLargestTable;  // there is no more
    }
    CompressedStream stream(table, hotspot.excluded);
    at = line = best_line = 0;
    best = -1;
    for (unsigned next = stream.byte(); next != kEnd; next = stream.byte()) {
      if (next == kLong) {
        at += stream.signed_number();
        line += stream.signed_number();
      } else {
        at += next >> 3;
        line += next & 7;
      }
      if (stream.ended()) break;
      if (at <= index && at >= best) {
        best = at;
        best_line = line;
      }
    }
    if (!stream.ended()) return best >= 0 && best_line > 0 && best_line < 1 << 30 ? static_cast<std::uint32_t>(best_line) : 0;
  }
  return 0;
}

}  // namespace sockleak
