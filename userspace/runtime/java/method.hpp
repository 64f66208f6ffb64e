// What HotSpot knows of a method: class, name, source file, and the line of a place in its bytecode.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "runtime/java/hotspot.hpp"
#include "runtime/java/target_memory.hpp"

namespace sockleak {

struct JavaMethod {
  std::string name;  // "com.acme.Orders.fetch"
  std::string file;  // "Orders.java"; empty = the class does not say
  std::uint64_t bytecode = 0;
  std::uint32_t bytecodes = 0;  // bytes; 0 = native or abstract
  bool has_lines = false;
};

/// Nullopt: what is at the address cannot be a Method.
[[nodiscard]] std::optional<JavaMethod> read_method(const TargetMemory& memory, const Hotspot& hotspot, std::uint64_t method);

/// The line of the bytecode at `index`; 0 = not known.
[[nodiscard]] std::uint32_t line_of(const TargetMemory& memory, const Hotspot& hotspot, const JavaMethod& method,
                                    std::uint32_t index);

}  // namespace sockleak
