// Where the runtime of a program made by Go keeps what it knows of the goroutine that runs: offsets in its struct g and
// struct m, and where a thread finds its g.
#pragma once

#include <optional>
#include <string_view>

#include "stack/module_store.hpp"

extern "C" {
#include "abi/go_wire.h"
}

namespace sockleak {

/// Nullopt: the file was not made by Go. One whose goid is 0: it was, but by a release that is not known here, and
/// without debug information that would tell.
[[nodiscard]] std::optional<sl_go> find_go(const Module& module);

/// The offsets of a release, the 19 of go1.19; nullopt if they are not known for certain.
[[nodiscard]] std::optional<sl_go> go_offsets(unsigned minor);

/// What the debug information of the file says; nullopt if it has none of the runtime.
[[nodiscard]] std::optional<sl_go> go_offsets_from_debug(const Module& module);

/// Address in the file of the runtime's variable of this name; 0 = no symbol says it.
[[nodiscard]] std::uint64_t go_variable(const Module& module, std::string_view name);

}  // namespace sockleak
