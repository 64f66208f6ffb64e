// Finds CPython in a module (the program itself or libpython) and says where in its structures the frames are. Everything
// comes from the file: it may be asked before the loader has touched the process's memory. CPython 3.8 to 3.14 with glibc.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "stack/function_parts.hpp"
#include "stack/module_store.hpp"

extern "C" {
#include "abi/python_wire.h"
}

namespace sockleak {

struct PythonInterpreter {
  unsigned minor = 0;                           // the 11 of 3.11
  std::vector<CodeRange> loop;                  // _PyEval_EvalFrameDefault; file virtual addresses
  sl_python layout{};                           // its addresses too are in the file; see at()

  /// The layout for a process that has the module `bias` bytes above its file virtual addresses.
  [[nodiscard]] sl_python at(std::uint64_t bias) const;
};

/// Nullopt: no interpreter is in there. One with minor == 0: there is, but of a version or build that is not known.
[[nodiscard]] std::optional<PythonInterpreter> find_python(const Module& module);

/// Where a position-independent or other instruction sequence puts the address of _PyRuntime's autoTSSkey: `code` is the
/// beginning of PyGILState_GetThisThreadState() at `address`. The result lies in [runtime, runtime + size) or is 0.
[[nodiscard]] std::uint64_t thread_key_address(std::span<const std::byte> code, std::uint64_t address,
                                               std::uint64_t runtime, std::uint64_t size);

}  // namespace sockleak
