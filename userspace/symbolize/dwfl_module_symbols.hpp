// One module's symbols and debug information: an address becomes the functions that were inlined there. A Dwfl of
// its own per module, at bias 0: many processes share it and addresses are file virtual addresses.
#pragma once

#include <elfutils/libdwfl.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/handle.hpp"
#include "stack/module_store.hpp"
#include "stack/stack.hpp"

namespace sockleak {

class ModuleSymbols {
 public:
  /// Borrows `callbacks` for its life. An unreadable or malformed file gives an object that knows nothing.
  ModuleSymbols(const Module& module, const Dwfl_Callbacks& callbacks);

  /// Functions at the code address `pc`, innermost first; never empty, but function and file may be. Only function,
  /// file, line, column and inlined are set.
  [[nodiscard]] std::vector<Frame> functions_at(std::uint64_t pc);

 private:
  struct Place {
    std::string file;
    std::uint32_t line = 0, column = 0;
  };
  /// Addresses of a compile unit that .debug_aranges does not list.
  struct UnitRange {
    Dwarf_Addr start, end, largest_end;  // largest_end: of this and all ranges before it
    Dwarf_Die unit;
  };

  [[nodiscard]] bool file_is_unchanged() const;
  [[nodiscard]] std::optional<Dwarf_Die> unit_at(Dwarf_Addr module_address, Dwarf_Addr* bias);
  void list_units(Dwarf* debug);
  [[nodiscard]] std::vector<Frame> debug_frames(Dwarf_Die& unit, Dwarf_Addr address) const;
  [[nodiscard]] std::string symbol_at(Dwarf_Addr module_address) const;

  int fd_;
  off_t size_ = 0;
  timespec modified_{};
  CPtr<Dwfl, &dwfl_end> dwfl_;
  Dwfl_Module* module_ = nullptr;
  GElf_Addr bias_ = 0;  // module address - file virtual address
  std::vector<UnitRange> unit_ranges_;
  bool units_listed_ = false;
};

}  // namespace sockleak
