// libdw evaluates the unwind tables; this file only translates what it says into the few kinds of rules that the
// kernel side can apply. DWARF 5 section 6.4, System V ABI AMD64 supplement section 3.4 and figure 3.36.
#include "stack/rule_compiler.hpp"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <gelf.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string_view>

#include "base/handle.hpp"
#include "stack/function_starts.hpp"
#include "stack/go_rule.hpp"
#include "stack/prologue_scan.hpp"

namespace sockleak {
namespace {

using ElfHandle = CPtr<Elf, &elf_end>;
using DwarfHandle = CPtr<Dwarf, &dwarf_end>;
using CfiHandle = CPtr<Dwarf_CFI, &dwarf_cfi_end>;
using FrameHandle = CPtr<Dwarf_Frame, &std::free>;

constexpr unsigned kBp = 6, kSp = 7;
constexpr int kReturnAddress = 16;
constexpr std::int64_t kReturnAddressAt = -8;  // from the CFA: where a call instruction puts it
constexpr std::int64_t kContextPc = 168;       // rip in the ucontext at a signal trampoline's sp

// Only a program's socket paths get here, so this is a guard, not a working limit: 65 536 rules are 3 MB.
constexpr std::size_t kMaxRules = 1u << 16;

// A function without tables that makes system calls is a small wrapper: as much of it, and of its frame, is looked at.
constexpr std::uint64_t kMaxScanned = 4096;

UnwindRule rule_of(int kind, RuleSource source, std::int32_t cfa_offset = 0, std::int16_t bp_offset = 0) {
  return {.cfa_offset = cfa_offset,
          .bp_offset = bp_offset,
          .kind = static_cast<__u8>(kind),
          .source = static_cast<__u8>(source)};
}

// The kernel side tells "no information" from "outermost" by the offset.
UnwindRule no_information() {
  return rule_of(SL_RULE_STOP, RuleSource::kNoInformation, 1);
}

struct RegisterPlus {
  unsigned reg;
  std::int64_t offset;
};

std::optional<RegisterPlus> register_plus(const Dwarf_Op& op) {
  if (op.atom >= DW_OP_breg0 && op.atom <= DW_OP_breg31) {
    return RegisterPlus{static_cast<unsigned>(op.atom - DW_OP_breg0), static_cast<std::int64_t>(op.number)};
  }
  if (op.atom == DW_OP_bregx)
    return RegisterPlus{static_cast<unsigned>(op.number), static_cast<std::int64_t>(op.number2)};
  return std::nullopt;
}

// Where the caller's value of a register is. kOther: somewhere that no rule of ours can name.
struct Saved {
  enum class Place { kUndefined, kUnchanged, kAtCfaPlus, kAtRegisterPlus, kOther } place = Place::kOther;
  std::int64_t offset = 0;
  unsigned reg = 0;
};

Saved saved_register(Dwarf_Frame* frame, int number) {
  std::array<Dwarf_Op, 3> storage{};
  Dwarf_Op* ops = nullptr;
  std::size_t count = 0;
  if (dwarf_frame_register(frame, number, storage.data(), &ops, &count) != 0) return {};
  if (count == 0) return {.place = ops == nullptr ? Saved::Place::kUnchanged : Saved::Place::kUndefined};
  if (ops[0].atom != DW_OP_call_frame_cfa) return {};
  if (count == 1) return {.place = Saved::Place::kAtCfaPlus};
  if (count != 2) return {};
  if (ops[1].atom == DW_OP_plus_uconst) {
    return {.place = Saved::Place::kAtCfaPlus, .offset = static_cast<std::int64_t>(ops[1].number)};
  }
  if (const auto at = register_plus(ops[1])) {
    return {.place = Saved::Place::kAtRegisterPlus, .offset = at->offset, .reg = at->reg};
  }
  return {};
}

struct Cfa {
  int kind;
  std::int32_t offset;
};

std::optional<Cfa> cfa_of(Dwarf_Frame* frame) {
  Dwarf_Op* ops = nullptr;
  std::size_t count = 0;
  if (dwarf_frame_cfa(frame, &ops, &count) != 0 || count == 0 || count > 2) return std::nullopt;
  const auto base = register_plus(ops[0]);
  if (!base || (base->reg != kSp && base->reg != kBp)) return std::nullopt;
  if (base->offset < std::numeric_limits<std::int32_t>::min() ||
      base->offset > std::numeric_limits<std::int32_t>::max()) {
    return std::nullopt;
  }
  const auto offset = static_cast<std::int32_t>(base->offset);
  if (count == 1) return Cfa{base->reg == kSp ? SL_RULE_SP : SL_RULE_BP, offset};
  if (ops[1].atom != DW_OP_deref) return std::nullopt;
  return Cfa{base->reg == kSp ? SL_RULE_SP_DEREF : SL_RULE_BP_DEREF, offset};
}

// The rule's bp_offset; nullopt if a rule cannot say it. The kernel side takes -9 and above for "unchanged".
std::optional<std::int16_t> bp_offset_of(Dwarf_Frame* frame, int kind) {
  const Saved bp = saved_register(frame, kBp);
  switch (bp.place) {
    case Saved::Place::kAtCfaPlus:
      if (bp.offset < std::numeric_limits<std::int16_t>::min() || bp.offset > -16 || bp.offset % 8 != 0) break;
      return static_cast<std::int16_t>(bp.offset);
    case Saved::Place::kAtRegisterPlus:
      // A realigned frame: GCC saves bp where the new bp points, and that is in no fixed distance from the CFA.
      if (kind == SL_RULE_BP_DEREF && bp.reg == kBp && bp.offset == 0) return std::int16_t{0};
      break;
    case Saved::Place::kUnchanged:
    case Saved::Place::kUndefined:
      if (kind != SL_RULE_BP_DEREF) return std::int16_t{0};
      break;
    case Saved::Place::kOther:
      break;
  }
  return std::nullopt;
}

std::optional<UnwindRule> translate(Dwarf_Frame* frame, RuleSource source) {
  const Saved caller = saved_register(frame, kReturnAddress);
  if (caller.place == Saved::Place::kUndefined) return rule_of(SL_RULE_STOP, RuleSource::kOutermost);
  bool signal = false;
  if (dwarf_frame_info(frame, nullptr, nullptr, &signal) < 0) return std::nullopt;
  if (signal && caller.place == Saved::Place::kAtRegisterPlus && caller.reg == kSp && caller.offset == kContextPc) {
    return rule_of(SL_RULE_SIGNAL, source);
  }
  if (caller.place != Saved::Place::kAtCfaPlus || caller.offset != kReturnAddressAt) return std::nullopt;
  const auto cfa = cfa_of(frame);
  if (!cfa) return std::nullopt;
  const auto bp_offset = bp_offset_of(frame, cfa->kind);
  if (!bp_offset) return std::nullopt;
  return rule_of(cfa->kind, source, cfa->offset, *bp_offset);
}

bool has_bytes(const Module& module, std::uint64_t address, std::span<const unsigned char> wanted) {
  std::array<std::byte, 16> bytes{};
  const auto part = std::span(bytes).first(wanted.size());
  return module.read(address, part) && std::memcmp(part.data(), wanted.data(), wanted.size()) == 0;
}

bool valid_return_address(std::optional<std::uint64_t> word, const CodeOracle& code) {
  return word && code.is_code(*word) && code.follows_call(*word);
}

}  // namespace

struct RuleCompiler::Tables {
  enum class Finding : std::uint8_t { kNothing, kInexpressible, kRule };
  struct Entry {
    Finding finding = Finding::kNothing;
    UnwindRule rule{};
  };

  explicit Tables(const Module& module) {
    if (!module.fd.valid() || module.segments.empty()) return;
    // A private map, as in all of elfutils: without one, libdw would read everything behind .eh_frame into memory.
    elf.reset(elf_begin(module.fd.get(), ELF_C_READ_MMAP_PRIVATE, nullptr));
    GElf_Ehdr header;
    if (elf == nullptr || gelf_getehdr(elf.get(), &header) == nullptr || header.e_machine != EM_X86_64) return;
    eh_frame.reset(dwarf_getcfi_elf(elf.get()));
    may_have_debug_frame = true;
    program_entry = header.e_entry;
    go = GoTable::open(module);
  }

  const Entry& look_up(std::uint64_t address) {
    if (auto known = rules.find(address); known != rules.end()) return known->second;
    if (rules.size() >= kMaxRules) rules.clear();
    Entry entry = evaluate(eh_frame.get(), address, RuleSource::kCfi);
    if (entry.finding == Finding::kNothing && go) {
      if (const auto rule = go_rule(*go, address)) entry = {Finding::kRule, *rule};
    }
    if (entry.finding != Finding::kRule) {
      if (may_have_debug_frame) open_debug_frame();
      const Entry other = evaluate(debug_frame, address, RuleSource::kDebugFrame);
      if (other.finding > entry.finding) entry = other;
    }
    return rules.emplace(address, entry).first->second;
  }

  // Only when .eh_frame is silent: dwarf_begin_elf decompresses every debug section, needed or not.
  void open_debug_frame() {
    may_have_debug_frame = false;
    std::size_t names = 0;
    if (elf_getshdrstrndx(elf.get(), &names) != 0) return;
    for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf.get(), section)) != nullptr;) {
      GElf_Shdr header;
      if (gelf_getshdr(section, &header) == nullptr) return;
      const char* name = elf_strptr(elf.get(), names, header.sh_name);
      if (name == nullptr || std::string_view(name) != ".debug_frame") continue;
      dwarf.reset(dwarf_begin_elf(elf.get(), DWARF_C_READ, nullptr));
      if (dwarf != nullptr) debug_frame = dwarf_getcfi(dwarf.get());
      return;
    }
  }

  static Entry evaluate(Dwarf_CFI* cfi, std::uint64_t address, RuleSource source) {
    Dwarf_Frame* raw = nullptr;
    if (cfi == nullptr || dwarf_cfi_addrframe(cfi, address, &raw) != 0) return {};
    const FrameHandle frame(raw);
    const auto rule = translate(raw, source);
    return rule ? Entry{Finding::kRule, *rule} : Entry{Finding::kInexpressible};
  }

  // Destroyed from below: the tables before the files they lie in.
  ElfHandle elf;
  DwarfHandle dwarf;
  CfiHandle eh_frame;
  std::optional<GoTable> go;
  Dwarf_CFI* debug_frame = nullptr;  // belongs to dwarf
  bool may_have_debug_frame = false;
  std::unordered_map<std::uint64_t, Entry> rules;
  FunctionStarts functions;
  std::uint64_t program_entry = 0;
};

RuleCompiler::RuleCompiler(const ModuleStore& modules) : modules_(modules) {}
RuleCompiler::~RuleCompiler() = default;

RuleCompiler::Tables& RuleCompiler::tables(ModuleId module) {
  auto& tables = tables_[module];
  if (tables == nullptr) tables = std::make_unique<Tables>(modules_.get(module));
  return *tables;
}

void RuleCompiler::warm_up(ModuleId module) {
  for (const auto& segment : modules_.get(module).segments) {
    // One look-up makes libdw read the search table and the common entries; its result is of no interest.
    if (segment.executable) (void)Tables::evaluate(tables(module).eh_frame.get(), segment.address, RuleSource::kCfi);
  }
}

void RuleCompiler::prepare(ModuleId program) {
  warm_up(program);
  (void)tables(program).functions.around(tables(program).elf.get(), 0);
}

UnwindRule RuleCompiler::compile(ModuleId module, std::uint64_t address, const WalkState& state, const StackCopy& copy,
                                 const CodeOracle& code) {
  ++compiled_;
  if (address != 0) {
    // A return address may be the first byte of the next function: the call lies before it (DWARF 5, 6.4.4).
    const auto& entry = tables(module).look_up(state.interrupted ? address : address - 1);
    if (entry.finding == Tables::Finding::kRule) {
      const bool go = entry.rule.source == static_cast<__u8>(RuleSource::kGoTable);
      if (go && is_signal_return(modules_.get(module), address)) return rule_of(SL_RULE_SIGNAL, RuleSource::kGoTable);
      return entry.rule;
    }
    // A table that no rule can express tells that this is no ordinary frame. bp may well be its caller's: a guess
    // would pass every check and still skip a frame (seen at ld.so's _dl_runtime_resolve, whose CFA is rbx + 32).
    if (entry.finding == Tables::Finding::kInexpressible) return no_information();
  }
  if (address == 0) return guess(modules_.get(module), address, state, copy, code);
  if (!state.interrupted && is_outermost(modules_.get(module), tables(module).program_entry, address)) {
    return rule_of(SL_RULE_STOP, RuleSource::kOutermost);
  }
  if (is_signal_return(modules_.get(module), address)) return rule_of(SL_RULE_SIGNAL, RuleSource::kLeaf);
  if (const auto rule = scan(module, address, state, copy, code)) return *rule;
  return guess(modules_.get(module), address, state, copy, code);
}

// Where a program and a thread of musl's begin: no table says so, but the code does.
bool RuleCompiler::is_outermost(const Module& module, std::uint64_t entry, std::uint64_t address) {
  std::array<std::byte, 64> code{};
  if (address > entry && address - entry < code.size() && module.read(entry, code)) {
    if (const auto call = end_of_first_call(code); call && entry + *call == address) return true;
  }
  // mov %eax, %edi; xor %eax, %eax; mov $60, %al; syscall: the thread ends when its function returns
  static constexpr std::array<unsigned char, 8> kExit{0x89, 0xc7, 0x31, 0xc0, 0xb0, 0x3c, 0x0f, 0x05};
  return has_bytes(module, address, kExit);
}

// The function's own code, from its begin as the symbol table has it, or as the call that led there has it in a program
// without symbols.
std::optional<UnwindRule> RuleCompiler::scan(ModuleId id, std::uint64_t address, const WalkState& state,
                                             const StackCopy& copy, const CodeOracle& code) {
  const Module& module = modules_.get(id);
  const auto scan_from = [&](std::uint64_t start, std::uint64_t end) -> ScannedCode {
    std::array<std::byte, kMaxScanned> bytes;
    if (start > address || address - start > bytes.size()) return {};
    const auto part = std::span(bytes).first(std::min<std::uint64_t>(end - start, bytes.size()));
    return module.read(start, part) ? scan_prologue(part, address - start) : ScannedCode{};
  };
  const auto caller_at = [&](const UnwindRule& rule) {
    return (rule.kind == SL_RULE_BP ? state.bp : state.sp) + static_cast<std::uint64_t>(rule.cfa_offset) - 8;
  };
  if (const auto function = tables(id).functions.around(tables(id).elf.get(), state.interrupted ? address : address - 1)) {
    const ScannedCode scanned = scan_from(function->start, std::max(function->end, address));
    if (scanned.rule && valid_return_address(copy.word(caller_at(*scanned.rule)), code)) return scanned.rule;
    // bp is another function's, or not yet or no longer this one's: to follow it would skip frames.
    if (!scanned.frames_bp || state.interrupted) return no_information();
    return std::nullopt;
  }
  const std::uint64_t bias = state.pc - address;
  for (std::uint64_t at = state.sp; at < state.sp + kMaxScanned; at += 8) {
    const auto word = copy.word(at);
    if (!word) return std::nullopt;
    std::array<std::byte, 5> call{};
    if (*word < bias || !code.is_code(*word) || !module.read(*word - bias - call.size(), call)) continue;
    std::int32_t distance = 0;
    std::memcpy(&distance, call.data() + 1, sizeof distance);
    if (call[0] != std::byte{0xe8}) continue;
    const std::uint64_t start = *word - bias + static_cast<std::uint64_t>(std::int64_t{distance});
    const auto rule = scan_from(start, address).rule;
    if (rule && caller_at(*rule) == at) return rule;
  }
  return std::nullopt;
}

bool RuleCompiler::is_goroutine_start(ModuleId module, std::uint64_t address) {
  auto& go = tables(module).go;
  return go && sockleak::is_goroutine_start(*go, address - 1);
}

bool RuleCompiler::is_signal_return(const Module& module, std::uint64_t address) {
  static constexpr std::array<unsigned char, 9> kReturn64{0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
  static constexpr std::array<unsigned char, 7> kReturn32{0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05};
  return has_bytes(module, address, kReturn64) || has_bytes(module, address, kReturn32);
}

// No table speaks: only what the stack copy itself bears out.
UnwindRule RuleCompiler::guess(const Module& module, std::uint64_t address, const WalkState& state,
                               const StackCopy& copy, const CodeOracle& code) {
  // The frame that entered the kernel may be frameless; then bp is its caller's and would skip one frame.
  static constexpr std::array<unsigned char, 2> kSyscall{0x0f, 0x05};
  const bool at_syscall = state.sp == copy.sp && !state.interrupted && has_bytes(module, address - 2, kSyscall);
  if (at_syscall && valid_return_address(copy.word(state.sp), code)) {
    return rule_of(SL_RULE_SP, RuleSource::kLeaf, 8);
  }
  // push %rbp; mov %rsp, %rbp: CFA = bp + 16. In a frame without locals bp equals sp.
  if (state.bp >= state.sp && state.bp % 8 == 0 && valid_return_address(copy.word(state.bp + 8), code)) {
    return rule_of(SL_RULE_BP, RuleSource::kFramePointer, 16, -16);
  }
  return no_information();
}

}  // namespace sockleak
