// Intel SDM volume 2: chapter 2 (format), appendix A (opcode maps).
#include "stack/x86_instruction.hpp"

#include <cstring>

namespace sockleak {
namespace {

using Does = X86Instruction::Does;

constexpr unsigned kSp = 4, kBp = 5;
constexpr std::size_t kLongest = 15;

/// What follows an opcode.
struct Shape {
  bool valid = true, modrm = false;
  std::size_t immediate = 0;
};
constexpr Shape kInvalid{.valid = false};

struct Prefixes {
  bool operand16 = false, wide = false, base_extended = false, reg_extended = false;
};

Shape one_byte(unsigned op, unsigned reg, const Prefixes& prefixes) {
  const std::size_t z = prefixes.operand16 && !prefixes.wide ? 2 : 4;
  if (op < 0x40) {
    const unsigned column = op & 7;
    if (column < 4) return {.modrm = true};
    if (column == 4) return {.immediate = 1};
    return column == 5 ? Shape{.immediate = z} : kInvalid;
  }
  if (op >= 0x50 && op < 0x60) return {};
  if (op >= 0x70 && op < 0x80) return {.immediate = 1};
  if (op >= 0x84 && op < 0x90) return {.modrm = true};
  if (op >= 0xb0 && op < 0xb8) return {.immediate = 1};
  if (op >= 0xb8 && op < 0xc0) return {.immediate = prefixes.wide ? 8 : z};
  if (op >= 0xd8 && op < 0xe0) return {.modrm = true};
  switch (op) {
    case 0x63: case 0xd0: case 0xd1: case 0xd2: case 0xd3: case 0xfe: case 0xff:
      return {.modrm = true};
    case 0x69: case 0x81: case 0xc7:
      return {.modrm = true, .immediate = z};
    case 0x6b: case 0x80: case 0x83: case 0xc0: case 0xc1: case 0xc6:
      return {.modrm = true, .immediate = 1};
    case 0x68: case 0xa9:
      return {.immediate = z};
    case 0xe8: case 0xe9:
      return {.immediate = 4};
    case 0x6a: case 0xa8: case 0xcd: case 0xe0: case 0xe1: case 0xe2: case 0xe3: case 0xe4: case 0xe5: case 0xe6:
    case 0xe7: case 0xeb:
      return {.immediate = 1};
    case 0xa0: case 0xa1: case 0xa2: case 0xa3:
      return {.immediate = 8};
    case 0xc2: case 0xca:
      return {.immediate = 2};
    case 0xc8:
      return {.immediate = 3};
    case 0xf6:
      return {.modrm = true, .immediate = reg < 2 ? 1u : 0u};
    case 0xf7:
      return {.modrm = true, .immediate = reg < 2 ? z : 0};
    case 0x60: case 0x61: case 0x62: case 0x82: case 0x9a: case 0xd4: case 0xd5: case 0xd6: case 0xea:
      return kInvalid;
    default:
      return {};
  }
}

Shape two_byte(unsigned op) {
  if (op >= 0x80 && op < 0x90) return {.immediate = 4};
  if (op >= 0xc8 && op < 0xd0) return {};
  switch (op) {
    case 0x05: case 0x06: case 0x07: case 0x08: case 0x09: case 0x0b: case 0x0e: case 0x30: case 0x31: case 0x32:
    case 0x33: case 0x34: case 0x35: case 0x37: case 0x77: case 0xa0: case 0xa1: case 0xa2: case 0xa8: case 0xa9:
    case 0xaa:
      return {};
    case 0x0f: case 0x70: case 0x71: case 0x72: case 0x73: case 0xa4: case 0xac: case 0xba: case 0xc2: case 0xc4:
    case 0xc5: case 0xc6:
      return {.modrm = true, .immediate = 1};
    case 0x04: case 0x0a: case 0x0c: case 0x24: case 0x25: case 0x26: case 0x27: case 0x36: case 0x39: case 0x3b:
    case 0x3c: case 0x3d: case 0x3e: case 0x3f:
      return kInvalid;
    default:
      return {.modrm = true};
  }
}

std::size_t behind_modrm(std::span<const std::byte> bytes, std::size_t at) {
  const unsigned modrm = std::to_integer<unsigned>(bytes[at]), mod = modrm >> 6, rm = modrm & 7;
  if (mod == 3) return 0;
  std::size_t size = rm == 4 ? 1 : 0;
  const unsigned sib = rm == 4 && at + 1 < bytes.size() ? std::to_integer<unsigned>(bytes[at + 1]) : 0;
  if (mod == 0 && (rm == 5 || (rm == 4 && (sib & 7) == 5))) size += 4;
  if (mod == 1) size += 1;
  if (mod == 2) size += 4;
  return size;
}

std::int64_t signed_value(std::span<const std::byte> bytes, std::size_t size) {
  std::int64_t value = 0;
  std::memcpy(&value, bytes.data(), size);
  const unsigned unused = 64 - 8 * static_cast<unsigned>(size);
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(value) << unused) >> unused;
}

/// What an instruction of the one-byte map does; `value` is its immediate.
void interpret(X86Instruction& instruction, unsigned op, unsigned modrm, unsigned sib, std::int64_t displacement,
               const Prefixes& prefixes) {
  const unsigned mod = modrm >> 6, reg = (modrm >> 3) & 7, rm = modrm & 7;
  const bool of_sp = mod == 3 && rm == kSp && !prefixes.base_extended;
  const std::int64_t immediate = instruction.value;
  const auto is = [&](Does does, std::int64_t value = 0) {
    instruction.does = does;
    instruction.value = value;
  };
  const auto goes = [&](Does does, bool direct) {
    is(does, direct ? immediate : 0);
    instruction.direct = direct;
  };
  const std::int64_t slot = prefixes.operand16 ? 2 : 8;
  if (op >= 0x50 && op < 0x58) return is(op == 0x50 + kBp && !prefixes.base_extended ? Does::kPushBp : Does::kPush, slot);
  if (op >= 0x58 && op < 0x60) {
    if (prefixes.base_extended) return is(Does::kPop, slot);
    return op == 0x58 + kSp ? is(Does::kBreakSp) : is(op == 0x58 + kBp ? Does::kPopBp : Does::kPop, slot);
  }
  if (op >= 0x70 && op < 0x80) return goes(Does::kBranch, true);
  switch (op) {
    case 0x68: case 0x6a: case 0x9c:
      return is(Does::kPush, slot);
    case 0x9d:
      return is(Does::kPop, slot);
    case 0x8f:
      return of_sp ? is(Does::kBreakSp) : is(Does::kPop, slot);
    case 0x81: case 0x83:
      if (!of_sp || reg == 7) return is(Does::kOther);  // cmp
      if (reg == 0) return is(Does::kMoveSp, immediate);
      return reg == 5 ? is(Does::kMoveSp, -immediate) : is(Does::kBreakSp);
    case 0x01: case 0x03: case 0x09: case 0x0b: case 0x11: case 0x13: case 0x19: case 0x1b: case 0x21: case 0x23:
    case 0x29: case 0x2b: case 0x31: case 0x33: case 0x87: case 0x89: case 0x8b: {
      const bool to_reg = (op & 2) != 0 && op != 0x87;
      const bool writes_sp = (to_reg || op == 0x87) && reg == kSp && !prefixes.reg_extended;
      if (writes_sp || (of_sp && (!to_reg || op == 0x87))) return is(Does::kBreakSp);
      const bool bp_gets_sp = (op == 0x89 && mod == 3 && reg == kSp && rm == kBp) || (op == 0x8b && mod == 3 && reg == kBp && rm == kSp);
      return is(bp_gets_sp && !prefixes.base_extended && !prefixes.reg_extended ? Does::kSetBp : Does::kOther);
    }
    case 0x8d:
      if (reg != kSp || prefixes.reg_extended) return is(Does::kOther);
      // lea N(%rsp), %rsp
      return mod != 0 && rm == kSp && sib == 0x24 && !prefixes.base_extended ? is(Does::kMoveSp, displacement)
                                                                              : is(Does::kBreakSp);
    case 0x94:
      return is(Does::kBreakSp);  // xchg %rsp, %rax
    case 0xc9:
      return is(Does::kLeave);
    case 0xc2: case 0xc3: case 0xca: case 0xcb: case 0xcf: case 0xf4:
      return is(Does::kEnd);
    case 0xc8: case 0xbc:
      return prefixes.base_extended ? is(Does::kOther) : is(Does::kBreakSp);
    case 0xe0: case 0xe1: case 0xe2: case 0xe3:
      return goes(Does::kBranch, true);
    case 0xe8:
      return goes(Does::kCall, true);
    case 0xe9: case 0xeb:
      return goes(Does::kJump, true);
    case 0xff:
      if (reg == 2 || reg == 3) return goes(Does::kCall, false);
      if (reg == 4 || reg == 5) return goes(Does::kJump, false);
      if (reg == 6) return is(Does::kPush, slot);
      return of_sp ? is(Does::kBreakSp) : is(Does::kOther);
    case 0xc7:
      return of_sp ? is(Does::kBreakSp) : is(Does::kOther);
    default:
      return is(Does::kOther);
  }
}

}  // namespace

std::optional<X86Instruction> decode_x86(std::span<const std::byte> bytes) {
  const auto at = [&](std::size_t i) { return i < bytes.size() ? std::to_integer<unsigned>(bytes[i]) : 0u; };
  Prefixes prefixes;
  std::size_t i = 0;
  for (;; ++i) {
    const unsigned byte = at(i);
    if (byte == 0x66) prefixes.operand16 = true;
    const bool prefix = byte == 0x66 || byte == 0x67 || byte == 0xf0 || byte == 0xf2 || byte == 0xf3 || byte == 0x2e ||
                        byte == 0x36 || byte == 0x3e || byte == 0x26 || byte == 0x64 || byte == 0x65;
    if (!prefix || i >= kLongest) break;
  }
  if (const unsigned rex = at(i); rex >= 0x40 && rex < 0x50) {
    prefixes.wide = (rex & 8) != 0;
    prefixes.reg_extended = (rex & 4) != 0;
    prefixes.base_extended = (rex & 1) != 0;
    ++i;
  }
  const unsigned op = at(i++);
  X86Instruction result;
  Shape shape;
  unsigned second = 0;
  bool one_byte_map = false;
  if (op == 0xc5 || op == 0xc4 || op == 0x62) {  // VEX, EVEX
    const unsigned map = op == 0xc5 ? 1 : at(i) & 7;
    i += op == 0xc5 ? 1 : op == 0xc4 ? 2 : 3;
    const unsigned vector = at(i++);
    shape = map == 1 ? two_byte(vector) : Shape{.modrm = true, .immediate = map == 3 ? 1u : 0u};
  } else if (op == 0x0f) {
    second = at(i++);
    if (second == 0x38 || second == 0x3a) {
      ++i;
      shape = {.modrm = true, .immediate = second == 0x3a ? 1u : 0u};
    } else {
      shape = two_byte(second);
    }
  } else {
    one_byte_map = true;
    shape = one_byte(op, (at(i) >> 3) & 7, prefixes);
  }
  if (!shape.valid) return std::nullopt;
  const unsigned modrm = shape.modrm ? at(i) : 0;
  std::int64_t displacement = 0;
  unsigned sib = 0;
  if (shape.modrm) {
    if (i >= bytes.size()) return std::nullopt;
    const std::size_t more = behind_modrm(bytes, i);
    const std::size_t size = modrm >> 6 == 1 ? 1 : modrm >> 6 == 2 ? 4 : 0;
    sib = at(i + 1);
    i += 1 + more;
    if (i > bytes.size()) return std::nullopt;
    if (size != 0) displacement = signed_value(bytes.subspan(i - size), size);
  }
  result.length = i + shape.immediate;
  if (result.length > kLongest || result.length > bytes.size()) return std::nullopt;
  if (shape.immediate == 1 || shape.immediate == 2 || shape.immediate == 4) {
    result.value = signed_value(bytes.subspan(i), shape.immediate);
  }
  if (one_byte_map) {
    interpret(result, op, modrm, sib, displacement, prefixes);
  } else if (op == 0x0f && second >= 0x80 && second < 0x90) {
    result.does = Does::kBranch;
    result.direct = true;
  } else if (op == 0x0f && second == 0x0b) {
    result.does = Does::kEnd;
  } else if (op == 0x0f && (second == 0xa0 || second == 0xa8)) {
    result.does = Does::kPush;
    result.value = 8;
  } else if (op == 0x0f && (second == 0xa1 || second == 0xa9)) {
    result.does = Does::kPop;
    result.value = 8;
  }
  return result;
}

}  // namespace sockleak
