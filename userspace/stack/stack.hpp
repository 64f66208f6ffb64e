// The ladder of stack types: RawStack (addresses) -> MappedStack (module + offset) -> Stack (functions and lines).
// Each is a plain value; why a stack is short travels with it and is never merged with "complete".
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"

namespace sockleak {

enum class WalkEnd : std::uint8_t {  // SL_WALK_*
  kNone = 0, kComplete = 1, kMissingRule, kDepth, kReadFailed, kInsane, kContended, kNoUserStack, kNoSpace,
};
/// One clause for the report: "user memory was not readable"; empty for kComplete.
[[nodiscard]] const char* why_short(WalkEnd end);

/// A frame of HotSpot's interpreter: its address does not say which method it runs.
struct InterpretedFrame {
  std::size_t frame = 0;       // index in the stack
  std::uint64_t method = 0;    // address of the Method
  std::uint64_t bytecode = 0;  // where it executes; 0 = a native method
};

/// Addresses as walked; frames[0] is where the syscall returns to, the others are return addresses.
struct RawStack {
  std::vector<std::uint64_t> frames;
  WalkEnd end = WalkEnd::kNone;
  std::vector<InterpretedFrame> interpreted;  // innermost first
};

struct MappedFrame {
  ModuleId module;             // ModuleStore::kUnknown (0) if no module covered the address
  std::uint64_t address = 0;   // file virtual address (ELF p_vaddr space); the raw address if the module is unknown
  friend auto operator<=>(const MappedFrame&, const MappedFrame&) = default;
};

struct MappedStack {
  std::vector<MappedFrame> frames;
  WalkEnd end = WalkEnd::kNone;
  friend auto operator<=>(const MappedStack&, const MappedStack&) = default;
};

enum class FrameKind : std::uint8_t { kNative, kGo, kPython, kJava, kNode, kKernel };
[[nodiscard]] const char* to_string(FrameKind kind);

/// Why a frame's function or line is not known.
enum class NameGap : std::uint8_t { kNone = 0, kNoFile, kUnreadable, kChanged, kNoSymbol, kNoLine, kNoMap, kNoCode };
inline constexpr NameGap kLastNameGap = NameGap::kNoCode;
/// One clause for the report: "its file could not be read"; empty for kNone.
[[nodiscard]] const char* why_unnamed(NameGap gap);

struct Frame {
  std::string function;   // demangled; empty = unknown
  std::string file;       // as in the debug information; empty = unknown
  std::uint32_t line = 0;    // 0 = unknown
  std::uint32_t column = 0;  // 0 = unknown
  std::string module;     // file name of the module as the process mapped it; empty = none
  std::string build_id;   // lower-case hex; empty = none
  std::uint64_t offset = 0;  // file virtual address in the module
  bool inlined = false;   // this frame was inlined into the next one
  FrameKind kind = FrameKind::kNative;
  NameGap gap = NameGap::kNone;
  friend bool operator==(const Frame&, const Frame&) = default;
};

struct Stack {
  std::vector<Frame> frames;  // innermost first; inlined frames before the frame that contains them
  bool truncated = false;
  std::string why;            // why it is truncated, one clause; empty = it is whole
  friend bool operator==(const Stack&, const Stack&) = default;
};

}  // namespace sockleak
