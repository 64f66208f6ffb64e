// src/hotspot/share/code/{pcDesc,scopeDesc,debugInfo,nmethod}.hpp of the HotSpot sources.
#include "runtime/java/scopes.hpp"

#include <algorithm>
#include <cstring>

#include "runtime/java/compressed_stream.hpp"

namespace sockleak {
namespace {

constexpr std::uint64_t kMostPcs = 1u << 20;  // bytes of descriptions
constexpr std::size_t kMostScopes = 64;       // MaxInlineLevel is 15, of method handles' frames more
constexpr std::int32_t kInvocationEntry = -1;

struct Places {
  std::uint64_t pcs = 0, pcs_end = 0, data = 0, metadata = 0;
};

std::optional<Places> places_of(const TargetMemory& memory, const Hotspot& hotspot, const CodeBlob& blob) {
  const auto& at = hotspot.scopes;
  const auto pcs = memory.value<std::int32_t>(blob.start + at.pcs), end = memory.value<std::int32_t>(blob.start + at.pcs_end);
  if (!pcs || !end || *pcs < 0 || *end < *pcs || static_cast<std::uint64_t>(*end - *pcs) > kMostPcs) return std::nullopt;
  Places places;
  std::uint64_t base = blob.start;
  if (at.moved) {
    const auto immutable = memory.value<std::uint64_t>(blob.start + at.immutable);
    const auto mutable_data = memory.value<std::uint64_t>(blob.start + at.mutable_data);
    const auto relocations = memory.value<std::int32_t>(blob.start + at.relocation_size);
    const auto data = memory.value<std::int32_t>(blob.start + at.data);
    if (!immutable || !mutable_data || !relocations || *relocations < 0 || !data || *data < 0) return std::nullopt;
    base = *immutable;
    places.data = base + static_cast<std::uint64_t>(*data);
    places.metadata = *mutable_data + static_cast<std::uint64_t>(*relocations);
  } else {
    const auto data = memory.value<std::uint64_t>(blob.start + at.data);
    const auto metadata = memory.value<std::int32_t>(blob.start + at.metadata);
    if (!data || !metadata || *metadata < 0) return std::nullopt;
    places.data = *data;
    places.metadata = base + static_cast<std::uint64_t>(*metadata);
  }
  places.pcs = base + static_cast<std::uint64_t>(*pcs);
  places.pcs_end = base + static_cast<std::uint64_t>(*end);
  return places;
}

/// Where the scope of the return address is described; nullopt = it is none of the code's.
std::optional<std::int32_t> description_of(const TargetMemory& memory, const Hotspot& hotspot, const CodeBlob& blob,
                                           const Places& places, std::uint64_t pc) {
  std::vector<std::byte> table(places.pcs_end - places.pcs);
  if (!memory.read(places.pcs, table)) return std::nullopt;
  const auto value = [&](std::size_t at) {
    std::int32_t number = 0;
    std::memcpy(&number, table.data() + at, sizeof number);
    return number;
  };
  const auto wanted = static_cast<std::int64_t>(pc - blob.code_begin);
  for (std::size_t at = 0; at + hotspot.pc_desc.size <= table.size(); at += hotspot.pc_desc.size) {
    if (value(at + hotspot.pc_desc.pc) == wanted) return value(at + hotspot.pc_desc.scope);
  }
  return std::nullopt;
}

}  // namespace

std::uint64_t method_of(const TargetMemory& memory, const Hotspot& hotspot, const CodeBlob& blob) {
  return memory.value<std::uint64_t>(blob.start + hotspot.compiled.method).value_or(0);
}

std::vector<JavaScope> scopes_at(const TargetMemory& memory, const Hotspot& hotspot, const CodeBlob& blob, std::uint64_t pc) {
  const auto places = hotspot.compiled.has_scopes ? places_of(memory, hotspot, blob) : std::nullopt;
  if (!places) return {};
  auto description = description_of(memory, hotspot, blob, *places, pc);
  std::vector<JavaScope> scopes;
  // Each names its caller's description; 0 = it has none.
  while (description && *description > 0 && scopes.size() < kMostScopes) {
    std::array<std::byte, 16> bytes{};
    if (!memory.read(places->data + static_cast<std::uint64_t>(*description), bytes)) return {};
    CompressedStream stream(bytes, hotspot.excluded);
    const std::uint32_t sender = stream.number(), index = stream.number(), bytecode = stream.number();
    if (stream.ended() || index == 0) return {};
    const auto method = memory.value<std::uint64_t>(places->metadata + (std::uint64_t{index} - 1) * 8);
    if (!method || *method == 0) return {};
    scopes.push_back({*method, static_cast<std::int32_t>(bytecode) + kInvocationEntry});
    if (sender == 0) {
      // What was read is right if it leads to the method that HotSpot says this code is of.
      return *method == method_of(memory, hotspot, blob) ? scopes : std::vector<JavaScope>{};
    }
    if (sender > (1U << 30)) return {};
    description = static_cast<std::int32_t>(sender);
  }
  return {};
}

bool is_deoptimized(const TargetMemory& memory, const Hotspot& hotspot, const CodeBlob& blob, std::uint64_t pc) {
  for (const std::uint64_t at : {hotspot.compiled.deopt_handler, hotspot.compiled.deopt_mh_handler}) {
    if (!hotspot.blob.code_is_offset) {
      if (memory.value<std::uint64_t>(blob.start + at) == pc) return true;
    } else if (const auto offset = memory.value<std::int32_t>(blob.start + at)) {
      if (*offset > 0 && blob.start + static_cast<std::uint64_t>(*offset) == pc) return true;
    }
  }
  return false;
}

}  // namespace sockleak
