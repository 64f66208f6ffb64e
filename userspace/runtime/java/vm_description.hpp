// HotSpot describes its own structures: libjvm.so exports tables of its types, their fields and some constants, for the
// serviceability agent (src/hotspot/share/runtime/vmStructs.hpp). This reads these tables from a living process.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/java/target_memory.hpp"
#include "stack/module_store.hpp"

namespace sockleak {

/// The module's exported symbols whose names begin with gHotSpotVM, at their file virtual addresses.
using VmSymbols = std::map<std::string, std::uint64_t, std::less<>>;
[[nodiscard]] VmSymbols vm_symbols(const Module& module);

class VmDescription {
 public:
  /// Nullopt if the tables are not there (yet) or make no sense. `bias`: how much above its file virtual addresses the
  /// module lies.
  static std::optional<VmDescription> read(const TargetMemory& memory, const VmSymbols& symbols, std::uint64_t bias);

  /// Where the field is in its structure, or a static one in the process. "Method._constMethod".
  [[nodiscard]] std::optional<std::uint64_t> field(std::string_view name) const { return find(fields_, name); }
  [[nodiscard]] std::optional<std::uint64_t> static_field(std::string_view name) const { return find(statics_, name); }
  [[nodiscard]] std::optional<std::uint64_t> size_of(std::string_view type) const { return find(sizes_, type); }
  [[nodiscard]] std::optional<std::uint64_t> constant(std::string_view name) const { return find(constants_, name); }

 private:
  using Table = std::map<std::string, std::uint64_t, std::less<>>;
  static std::optional<std::uint64_t> find(const Table& table, std::string_view name) {
    const auto found = table.find(name);
    return found == table.end() ? std::nullopt : std::optional(found->second);
  }
  Table fields_, statics_, sizes_, constants_;
};

}  // namespace sockleak
