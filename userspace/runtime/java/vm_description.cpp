#include "runtime/java/vm_description.hpp"

#include <cstring>
#include <unordered_map>
#include <vector>

#include "stack/exported_symbols.hpp"

namespace sockleak {
namespace {

constexpr std::size_t kMostEntries = 1u << 14;  // JDK 25 has 1 300 of all kinds, JDK 17 2 000
constexpr std::uint64_t kLargestEntry = 256;

/// Names lie close together in the module's constants: pages are read once.
class Pages final : public TargetMemory {
 public:
  explicit Pages(const TargetMemory& memory) : memory_(memory) {}
  [[nodiscard]] bool read(std::uint64_t address, std::span<std::byte> out) const override {
    while (!out.empty()) {
      const std::uint64_t number = address / kPage, inside = address % kPage;
      const auto [entry, is_new] = pages_.try_emplace(number);
      if (is_new) {
        entry->second.resize(kPage);
        if (!memory_.read(number * kPage, entry->second)) entry->second.clear();
      }
      if (entry->second.empty()) return false;
      const std::size_t length = std::min<std::uint64_t>(out.size(), kPage - inside);
      std::memcpy(out.data(), entry->second.data() + inside, length);
      out = out.subspan(length);
      address += length;
    }
    return true;
  }

 private:
  static constexpr std::uint64_t kPage = 4096;
  const TargetMemory& memory_;
  mutable std::unordered_map<std::uint64_t, std::vector<std::byte>> pages_;
};

/// One of the tables: entries of `stride` bytes from `begin` on; the first without a name ends it.
class Entries {
 public:
  Entries(const TargetMemory& memory, const VmSymbols& symbols, std::uint64_t bias) : memory_(memory), symbols_(symbols), bias_(bias) {}

  std::optional<std::uint64_t> word(const std::string& symbol) const {
    const auto at = symbols_.find(symbol);
    return at == symbols_.end() ? std::nullopt : memory_.value<std::uint64_t>(at->second + bias_);
  }

  /// Calls `each` with the address of every entry until it says that there are no more. False if the table cannot be read.
  template <typename Each>
  bool all(const std::string& table, const std::string& stride_symbol, const Each& each) const {
    const auto begin = word(table), stride = word(stride_symbol);
    if (!begin || !stride || *begin == 0 || *stride == 0 || *stride > kLargestEntry) return false;
    for (std::size_t i = 0; i < kMostEntries; ++i) {
      const std::optional<bool> more = each(*begin + i * *stride);
      if (!more) return false;
      if (!*more) return true;
    }
    return false;
  }

 private:
  const TargetMemory& memory_;
  const VmSymbols& symbols_;
  std::uint64_t bias_;
};

}  // namespace

VmSymbols vm_symbols(const Module& module) {
  VmSymbols found;
  for_each_exported_symbol(module, [&](const ExportedSymbol& symbol) {
    if (symbol.name.starts_with("gHotSpotVM")) found.emplace(symbol.name, symbol.address);
  });
  return found;
}

std::optional<VmDescription> VmDescription::read(const TargetMemory& uncached, const VmSymbols& symbols,
                                                 std::uint64_t bias) {
  const Pages memory(uncached);
  const Entries entries(memory, symbols, bias);
  VmDescription description;

  const auto type_name = entries.word("gHotSpotVMStructEntryTypeNameOffset");
  const auto field_name = entries.word("gHotSpotVMStructEntryFieldNameOffset");
  const auto is_static = entries.word("gHotSpotVMStructEntryIsStaticOffset");
  const auto offset = entries.word("gHotSpotVMStructEntryOffsetOffset");
  const auto address = entries.word("gHotSpotVMStructEntryAddressOffset");
  if (!type_name || !field_name || !is_static || !offset || !address) return std::nullopt;
  const auto on_field = [&](std::uint64_t at) -> std::optional<bool> {
    const auto type = memory.value<std::uint64_t>(at + *type_name), field = memory.value<std::uint64_t>(at + *field_name);
    if (!type || !field) return std::nullopt;
    if (*type == 0) return false;
    const auto type_text = memory.text(*type), field_text = memory.text(*field);
    const auto static_one = memory.value<std::int32_t>(at + *is_static);
    if (!type_text || !field_text || !static_one) return std::nullopt;
    const auto value = memory.value<std::uint64_t>(at + (*static_one != 0 ? *address : *offset));
    if (!value) return std::nullopt;
    (*static_one != 0 ? description.statics_ : description.fields_).emplace(*type_text + '.' + *field_text, *value);
    return true;
  };
  if (!entries.all("gHotSpotVMStructs", "gHotSpotVMStructEntryArrayStride", on_field)) return std::nullopt;

  const auto named = [&](const std::string& name_symbol, const std::string& value_symbol, std::size_t width, Table& table) {
    const auto name = entries.word(name_symbol), place = entries.word(value_symbol);
    return [&memory, &table, name, place, width](std::uint64_t at) -> std::optional<bool> {
      const auto text_at = name && place ? memory.value<std::uint64_t>(at + *name) : std::nullopt;
      if (!text_at) return std::nullopt;
      if (*text_at == 0) return false;
      const auto text = memory.text(*text_at);
      std::uint64_t value = 0;
      if (!text || !memory.read(at + *place, std::as_writable_bytes(std::span(&value, 1)).first(width))) return std::nullopt;
      table.emplace(*text, value);
      return true;
    };
  };
  if (!entries.all("gHotSpotVMTypes", "gHotSpotVMTypeEntryArrayStride",
                   named("gHotSpotVMTypeEntryTypeNameOffset", "gHotSpotVMTypeEntrySizeOffset", 8, description.sizes_)) ||
      !entries.all("gHotSpotVMIntConstants", "gHotSpotVMIntConstantEntryArrayStride",
                   named("gHotSpotVMIntConstantEntryNameOffset", "gHotSpotVMIntConstantEntryValueOffset", 4,
                         description.constants_))) {
    return std::nullopt;
  }
  return description;
}

}  // namespace sockleak
