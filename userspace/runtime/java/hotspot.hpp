// Where one HotSpot keeps what leads from an address to a method, a file and a line: taken from its own description, so
// nothing here depends on a build. JDK 11 and later on x86-64.
#pragma once

#include <cstdint>
#include <optional>

#include "runtime/java/vm_description.hpp"

namespace sockleak {

struct Hotspot {
  unsigned version = 0;  // the 17 of JDK 17

  std::uint64_t heaps = 0;             // in the process: CodeCache::_heaps
  std::uint64_t call_stub_return = 0;  // in the process: where Java that was called from C++ returns to

  struct CodeHeap { std::uint64_t low, high, segment_map, log2_segment, block_header, used_at; } heap{};
  struct GrowableArray { std::uint64_t length, data; } array{};

  /// Of a CodeBlob. Up to JDK 22 begin and end of its code are addresses, later ones offsets.
  struct Blob { std::uint64_t name, frame_size, frame_complete, code_begin, code_end, size; bool code_is_offset, short_frame_complete; } blob{};

  /// Of an nmethod. What leads to lines is not known of every version: JDK 23 and 24 moved it twice.
  struct Compiled { std::uint64_t method, compile_id, deopt_handler, deopt_mh_handler; bool has_scopes; } compiled{};
  struct Scopes {
    std::uint64_t pcs, pcs_end, data, metadata;
    std::uint64_t immutable, mutable_data, relocation_size;  // since JDK 25: in memory of its own
    bool moved;
  } scopes{};
  struct PcDesc { std::uint64_t size, pc, scope; } pc_desc{};

  struct Method {
    std::uint64_t const_method;                                // in Method
    std::uint64_t constants, flags, code_size, name, bytecode;  // in ConstMethod; bytecode: where it begins
    std::uint64_t has_lines;                                   // bit in flags
    std::uint64_t holder, pool, length, source_file;           // in ConstantPool; pool: where the entries begin
    std::uint64_t class_name;                                  // in Klass
    std::uint64_t symbol_length, symbol_body;
  } method{};
  bool source_file_in_class = false;  // JDK 11: InstanceKlass has it

  /// What UNSIGNED5 takes off each byte: 0 up to JDK 18, 1 since JDK 20 (JDK-8292758).
  std::uint8_t excluded = 0;

  /// Nullopt: something needed is not described, or the version is too old.
  static std::optional<Hotspot> from(const TargetMemory& memory, const VmDescription& vm);
};

}  // namespace sockleak
