// One module's symbols and debug information: an address becomes the functions that were inlined there. A Dwfl of
// its own per module, at bias 0: many processes share it and addresses are file virtual addresses.
#pragma once

#include <elfutils/libdwfl.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/handle.hpp"
#include "stack/module_store.hpp"
#include "stack/stack.hpp"
#include "symbolize/dwarf_unit.hpp"
#include "symbolize/range_index.hpp"

namespace sockleak {

class ModuleSymbols {
 public:
  /// Borrows `callbacks`, and what they are to get as their module's data, for its life. An unreadable or malformed file gives an object that knows nothing.
  ModuleSymbols(const Module& module, const Dwfl_Callbacks& callbacks, void* data);

  /// Functions at the code address `pc`, innermost first; never empty, but function and file may be. Only function,
  /// file, line, column, inlined and gap are set.
  [[nodiscard]] std::vector<Frame> functions_at(std::uint64_t pc);

 private:
  [[nodiscard]] bool file_is_unchanged() const;
  [[nodiscard]] std::optional<Dwarf_Die> unit_at(Dwarf_Addr module_address, Dwarf_Addr* bias);
  void list_units(Dwarf* debug);
  [[nodiscard]] std::string symbol_at(Dwarf_Addr module_address);
  void list_symbols();

  int fd_;
  off_t size_ = 0;
  timespec modified_{};
  CPtr<Dwfl, &dwfl_end> dwfl_;
  Dwfl_Module* module_ = nullptr;
  GElf_Addr bias_ = 0;  // module address - file virtual address

  std::vector<Dwarf_Die> listed_units_;
  RangeIndex units_by_address_;  // -> index in listed_units_
  bool units_listed_ = false;
  std::unordered_map<Dwarf_CU*, DwarfUnit> units_;

  RangeIndex symbols_by_address_;  // -> number in libdwfl's symbol table
  RangeIndex unsized_by_address_;
  bool symbols_listed_ = false;
};

}  // namespace sockleak
