// The piece of HotSpot's code that an address lies in, found as HotSpot finds it: through the map of segments that each
// code heap keeps.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/java/hotspot.hpp"
#include "runtime/java/target_memory.hpp"

namespace sockleak {

struct CodeBlob {
  enum class Kind { kInterpreter, kMethod, kNativeMethod, kOther };
  Kind kind = Kind::kOther;
  std::string name;                          // HotSpot's own: "nmethod", "Interpreter", "RuntimeStub - ..."
  std::uint64_t start = 0;                   // of the CodeBlob
  std::uint64_t code_begin = 0, code_end = 0;
  std::uint64_t frame_bytes = 0;             // from sp to the caller's sp; 0 = its frames are not of one size
  std::int64_t frame_complete = 0;           // from code_begin on there is such a frame; negative = nowhere
};

/// Nullopt: the address is in no code of HotSpot's, or its tables could not be read.
[[nodiscard]] std::optional<CodeBlob> code_at(const TargetMemory& memory, const Hotspot& hotspot, std::uint64_t address);

}  // namespace sockleak
