// Function names from DIEs, spelled as the demangler spells them, so that a function has one name whether it was
// inlined, is static (no linkage name) or has only a symbol.
#pragma once

#include <elfutils/libdw.h>

#include <string>

namespace sockleak {

/// Name of a DW_TAG_subprogram or DW_TAG_inlined_subroutine; empty if the debug information has none.
[[nodiscard]] std::string function_name(Dwarf_Die* function);

}  // namespace sockleak
