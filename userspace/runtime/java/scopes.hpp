// Which methods a compiled method runs at one of its calls: itself and what was inlined there, each with the place in its
// bytecode. HotSpot keeps this for its own walks (PcDesc, ScopeDesc).
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/java/code_cache.hpp"
#include "runtime/java/hotspot.hpp"
#include "runtime/java/target_memory.hpp"

namespace sockleak {

struct JavaScope {
  std::uint64_t method = 0;
  std::int32_t bytecode = -1;  // index; negative = not known
};

/// The method that the code was compiled from; 0 = cannot be read.
[[nodiscard]] std::uint64_t method_of(const TargetMemory& memory, const Hotspot& hotspot, const CodeBlob& blob);

/// Innermost first; the last is the compiled method. Empty: nothing is known of the return address `pc`, or what is does
/// not fit the method.
[[nodiscard]] std::vector<JavaScope> scopes_at(const TargetMemory& memory, const Hotspot& hotspot, const CodeBlob& blob,
                                               std::uint64_t pc);

/// Is `pc` where a frame returns to whose code has become invalid? It is the method's, but the place is not known.
[[nodiscard]] bool is_deoptimized(const TargetMemory& memory, const Hotspot& hotspot, const CodeBlob& blob, std::uint64_t pc);

}  // namespace sockleak
