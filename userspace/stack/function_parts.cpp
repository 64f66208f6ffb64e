// Each part has an unwind table entry of its own, which .eh_frame_hdr lists by address (Linux Standard Base, "Exception
// Frame Header"). A part that is entered by a jump from the middle of its function does not begin with the frame that a
// call leaves behind; that tells it from other functions, which may be jumped to as well.
#include "stack/function_parts.hpp"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <gelf.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <set>

#include "base/handle.hpp"
#include "stack/module_reader.hpp"
#include "stack/x86_instruction.hpp"

namespace sockleak {
namespace {

using ElfHandle = CPtr<Elf, &elf_end>;
using CfiHandle = CPtr<Dwarf_CFI, &dwarf_cfi_end>;
using FrameHandle = CPtr<Dwarf_Frame, &std::free>;

constexpr std::uint64_t kLargestFunction = 1u << 20;
constexpr std::uint32_t kMostEntries = 1u << 20;

/// Where direct jumps lead to outside of the function.
std::set<std::uint64_t> jumps_out_of(ModuleReader& reader, CodeRange function) {
  std::set<std::uint64_t> targets;
  std::vector<std::byte> code(std::min(function.end - function.begin, kLargestFunction));
  if (!reader.copy(function.begin, code)) return targets;
  for (std::size_t at = 0; at < code.size();) {
    const auto instruction = decode_x86(std::span(code).subspan(at));
    if (!instruction) break;
    at += instruction->length;
    const bool jumps = instruction->does == X86Instruction::Does::kJump || instruction->does == X86Instruction::Does::kBranch;
    if (!jumps || !instruction->direct) continue;
    const std::uint64_t target = function.begin + at + static_cast<std::uint64_t>(instruction->value);
    if (target < function.begin || target >= function.end) targets.insert(target);
  }
  return targets;
}

/// The sorted beginnings in .eh_frame_hdr.
class EntryTable {
 public:
  EntryTable(Elf* elf, ModuleReader& reader) {
    std::size_t count = 0;
    GElf_Phdr header;
    if (elf_getphdrnum(elf, &count) != 0) return;
    for (std::size_t i = 0; i < count; ++i) {
      if (gelf_getphdr(elf, static_cast<int>(i), &header) == nullptr) return;
      if (header.p_type == PT_GNU_EH_FRAME) read(reader, header.p_vaddr);
    }
  }
  /// From the entry that covers `address` to the next one.
  [[nodiscard]] std::optional<CodeRange> around(std::uint64_t address) const {
    const auto next = std::ranges::upper_bound(begins_, address);
    if (next == begins_.begin() || next == begins_.end()) return std::nullopt;
    return CodeRange{*std::prev(next), *next};
  }

 private:
  void read(ModuleReader& reader, std::uint64_t table) {
    // What every linker writes: version 1, a 4-byte pointer and a 4-byte count, pairs relative to the table.
    constexpr std::array<std::uint8_t, 4> kUsual{1, DW_EH_PE_pcrel | DW_EH_PE_sdata4, DW_EH_PE_udata4,
                                                 DW_EH_PE_datarel | DW_EH_PE_sdata4};
    const auto form = reader.value<std::array<std::uint8_t, 4>>(table);
    const auto count = reader.value<std::uint32_t>(table + 8);
    if (form != kUsual || !count || *count > kMostEntries) return;
    std::vector<std::array<std::int32_t, 2>> pairs(*count);
    if (!reader.copy(table + 12, std::as_writable_bytes(std::span(pairs)))) return;
    begins_.reserve(pairs.size());
    for (const auto& pair : pairs) begins_.push_back(table + static_cast<std::uint64_t>(std::int64_t{pair[0]}));
    if (!std::ranges::is_sorted(begins_)) begins_.clear();
  }

  std::vector<std::uint64_t> begins_;
};

/// Is the frame there the one that a call leaves behind?
bool begins_a_function(Dwarf_CFI* cfi, std::uint64_t address) {
  constexpr unsigned kSp = 7;
  Dwarf_Frame* raw = nullptr;
  if (dwarf_cfi_addrframe(cfi, address, &raw) != 0) return true;
  const FrameHandle frame(raw);
  Dwarf_Op* ops = nullptr;
  std::size_t count = 0;
  if (dwarf_frame_cfa(frame.get(), &ops, &count) != 0 || count != 1) return false;
  if (ops[0].atom == DW_OP_bregx) return ops[0].number == kSp && ops[0].number2 == 8;
  return ops[0].atom == DW_OP_breg0 + kSp && ops[0].number == 8;
}

}  // namespace

std::vector<CodeRange> function_parts(const Module& module, CodeRange main) {
  std::vector<CodeRange> parts{main};
  const ElfHandle elf(module.fd.valid() ? elf_begin(module.fd.get(), ELF_C_READ, nullptr) : nullptr);
  if (elf == nullptr || main.begin >= main.end) return parts;
  ModuleReader reader(module);
  const EntryTable entries(elf.get(), reader);
  const CfiHandle cfi(dwarf_getcfi_elf(elf.get()));
  if (cfi == nullptr) return parts;
  for (const std::uint64_t target : jumps_out_of(reader, main)) {
    const auto part = entries.around(target);
    if (!part || std::ranges::find(parts, *part) != parts.end() || begins_a_function(cfi.get(), part->begin)) continue;
    parts.push_back(*part);
  }
  return parts;
}

}  // namespace sockleak
