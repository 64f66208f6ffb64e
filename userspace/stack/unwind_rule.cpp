// The parts of rules and stack copies that both the compiler and the walker need.
#include "stack/unwind_rule.hpp"

#include <cstring>

namespace sockleak {

const char* to_string(RuleSource source) {
  switch (source) {
    case RuleSource::kCfi:
      return "unwind table";
    case RuleSource::kDebugFrame:
      return "debug information";
    case RuleSource::kFramePointer:
      return "frame pointer";
    case RuleSource::kLeaf:
      return "leaf function";
    case RuleSource::kNoInformation:
      return "no unwind information";
    case RuleSource::kOutermost:
      return "outermost frame";
    case RuleSource::kPrologue:
      return "function prologue";
    case RuleSource::kGoTable:
      return "Go function table";
    case RuleSource::kHotspot:
      return "HotSpot's code cache";
  }
  return "unknown";
}

std::optional<std::uint64_t> StackCopy::word(std::uint64_t address) const {
  std::uint64_t value = 0;
  if (address % sizeof value != 0 || address < sp || bytes.size() < sizeof value) return std::nullopt;
  const std::uint64_t offset = address - sp;
  if (offset > bytes.size() - sizeof value) return std::nullopt;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

}  // namespace sockleak
