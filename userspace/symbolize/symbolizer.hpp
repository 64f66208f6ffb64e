// MappedStack -> Stack: functions, files, lines and inlined frames. Asked only for the stacks of findings.
#pragma once

#include <memory>
#include <string>

#include "stack/module_store.hpp"
#include "stack/named_frames.hpp"
#include "stack/stack.hpp"

namespace sockleak {

class Symbolizer {
 public:
  virtual ~Symbolizer() = default;
  virtual Stack symbolize(const MappedStack& stack) = 0;
};

struct SymbolizerOptions {
  /// Ask the servers in DEBUGINFOD_URLS for missing debug files. Blocks on the network, hence off unless asked for.
  bool debuginfod = false;
  /// Colon-separated absolute directories, each with .build-id/ and/or a tree as in /usr/lib/debug.
  std::string debug_directories = "/usr/lib/debug";
  /// What frames of NamedFrames::kNamed are called; must outlive the symbolizer. Nullptr: there are none.
  const NamedFrames* named = nullptr;
};

/// Reads the modules' own symbols and debug information, or separate debug files by build-id or debug link
/// (libdw). Results are cached per (module, address). `modules` must outlive it.
std::unique_ptr<Symbolizer> make_dwfl_symbolizer(const ModuleStore& modules, const SymbolizerOptions& options = {});

/// Rust (v0 and legacy), then Itanium C++; unknown manglings come back unchanged. What differs between builds of the
/// same source is dropped: Rust hashes and the compiler's clone suffixes.
[[nodiscard]] std::string demangle(const std::string& symbol);

/// Index of the first frame that is not libc's, the loader's or a language runtime's. If there is none: of the first in
/// the runtime's own language, else of the first above libc, else 0.
[[nodiscard]] std::size_t culprit_frame(const Stack& stack);

/// True for frames of libc, loader and runtime start-up code, which differ between machines.
[[nodiscard]] bool is_runtime_frame(const Frame& frame);

/// 16 hex digits, stable across runs, ASLR, machines and rebuilds that keep functions, file names and lines.
[[nodiscard]] std::string site_fingerprint(const Stack& stack, const std::string& origin, const std::string& protocol);

}  // namespace sockleak
