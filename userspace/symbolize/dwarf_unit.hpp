// One compile unit: which function is at an address, what is inlined there, and on which lines.
#pragma once

#include <elfutils/libdw.h>

#include <vector>

#include "stack/stack.hpp"
#include "symbolize/range_index.hpp"

namespace sockleak {

class DwarfUnit {
 public:
  /// Lists the unit's functions once; asking is quick then.
  explicit DwarfUnit(const Dwarf_Die& unit);

  /// Functions at `address`, innermost first; never empty. Only function, file, line, column and inlined are set.
  [[nodiscard]] std::vector<Frame> frames_at(Dwarf_Addr address);

 private:
  void list_functions(Dwarf_Die* parent, int depth);
  [[nodiscard]] std::vector<Dwarf_Die> calls_at(Dwarf_Addr address) const;

  Dwarf_Die unit_;       // has the lines
  Dwarf_Die functions_;  // has the functions: unit_ or, with split DWARF, that of the .dwo file
  std::vector<Dwarf_Die> listed_;
  RangeIndex by_address_;  // -> index in listed_
};

/// Adds the address ranges of `die` (DW_AT_ranges or DW_AT_low_pc and DW_AT_high_pc) to `index`.
void add_ranges(Dwarf_Die* die, std::uint64_t value, RangeIndex& index);

}  // namespace sockleak
