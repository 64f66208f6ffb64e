// What a module exports, read from its dynamic symbol table, which stripping leaves.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "stack/module_store.hpp"

namespace sockleak {

struct ExportedSymbol {
  std::string_view name;  // valid during the call
  std::uint64_t address = 0;  // file virtual address
  std::uint64_t size = 0;
};

/// Calls `take` with every symbol that an x86-64 module defines; with none if it is of another kind, or cannot be read.
void for_each_exported_symbol(const Module& module, const std::function<void(const ExportedSymbol&)>& take);

}  // namespace sockleak
