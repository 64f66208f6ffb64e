// What the code says against what the unwind tables say, at every call of every function that has a symbol.
#include "stack/prologue_scan.hpp"

#include <elf.h>
#include <fcntl.h>
#include <gelf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <iostream>

#include "base/handle.hpp"
#include "stack/x86_instruction.hpp"
#include "unit/stack/own_code.hpp"

namespace sockleak {
namespace {

using Bytes = std::vector<std::byte>;

Bytes bytes(std::initializer_list<unsigned> values) {
  Bytes result;
  for (const unsigned value : values) result.push_back(static_cast<std::byte>(value));
  return result;
}

struct Function {
  std::uint64_t start, size;
};

std::vector<Function> functions_of(const std::string& path) {
  std::vector<Function> functions;
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  CPtr<Elf, &elf_end> elf(elf_begin(fd.get(), ELF_C_READ, nullptr));
  for (Elf_Scn* section = nullptr; elf != nullptr && (section = elf_nextscn(elf.get(), section)) != nullptr;) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == nullptr) continue;
    if (header.sh_type != SHT_SYMTAB && header.sh_type != SHT_DYNSYM) continue;
    Elf_Data* data = elf_getdata(section, nullptr);
    for (int i = 0; data != nullptr && static_cast<std::uint64_t>(i) < header.sh_size / header.sh_entsize; ++i) {
      GElf_Sym symbol;
      if (gelf_getsym(data, i, &symbol) == nullptr || GELF_ST_TYPE(symbol.st_info) != STT_FUNC) continue;
      const char* name = elf_strptr(elf.get(), header.sh_link, symbol.st_name);
      if (name == nullptr || std::string_view(name).find(".cold") != std::string_view::npos) continue;
      if (symbol.st_shndx != SHN_UNDEF && symbol.st_size != 0) functions.push_back({symbol.st_value, symbol.st_size});
    }
  }
  return functions;
}

struct Tally {
  std::uint64_t calls = 0, equal = 0, not_understood = 0, no_table = 0, different = 0;
};

Tally compare(const std::string& path) {
  Tally tally;
  ModuleStore modules;
  const ModuleId module = modules.add(path, UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)));
  RuleCompiler compiler(modules);
  for (const Function& function : functions_of(path)) {
    Bytes code(std::min<std::uint64_t>(function.size, 4096));
    if (!modules.get(module).read(function.start, code)) continue;
    for (std::size_t at = 0; at < code.size();) {
      const auto now = decode_x86(std::span(code).subspan(at));
      if (!now) break;
      at += now->length;
      if (now->does != X86Instruction::Does::kCall) continue;
      ++tally.calls;
      const std::uint64_t address = function.start + at;
      const UnwindRule table = compiler.compile(module, address, WalkState{.pc = address, .sp = 8}, StackCopy{}, ToldCode{});
      const auto scanned = scan_prologue(code, at).rule;
      if (!scanned) {
        ++tally.not_understood;
      } else if (table.source != static_cast<__u8>(RuleSource::kCfi) || table.kind > SL_RULE_BP) {
        ++tally.no_table;
      } else if (table.kind == scanned->kind && table.cfa_offset == scanned->cfa_offset &&
                 table.bp_offset == scanned->bp_offset) {
        ++tally.equal;
      } else if (++tally.different <= 10) {
        std::cout << path << " 0x" << std::hex << address << std::dec << " in 0x" << std::hex << function.start << std::dec
                  << ": the code says " << int{scanned->kind} << ' ' << scanned->cfa_offset << ' ' << scanned->bp_offset
                  << ", the table " << int{table.kind} << ' ' << table.cfa_offset << ' ' << table.bp_offset << '\n';
      }
    }
  }
  std::cout << "  " << path << ": " << tally.calls << " calls, " << tally.equal << " as in the table, "
            << tally.not_understood << " not understood, " << tally.no_table << " without a table, " << tally.different
            << " different\n";
  return tally;
}

std::optional<UnwindRule> scan(std::initializer_list<unsigned> values) { return scan_prologue(bytes(values), values.size()).rule; }

TEST(PrologueScan, CountsWhatIsPushed) {
  // musl's socket(): push %rbp; movslq %esi, %rsi; push %rbx; sub $8, %rsp; syscall
  const auto rule = scan({0x55, 0x48, 0x63, 0xf6, 0x53, 0x48, 0x83, 0xec, 0x08, 0x0f, 0x05});
  ASSERT_TRUE(rule);
  EXPECT_EQ(rule->kind, SL_RULE_SP);
  EXPECT_EQ(rule->cfa_offset, 32);
  EXPECT_EQ(rule->bp_offset, -16);
}

TEST(PrologueScan, FollowsTheFramePointer) {
  // push %rbp; mov %rsp, %rbp; sub %rax, %rsp
  const auto rule = scan({0x55, 0x48, 0x89, 0xe5, 0x48, 0x29, 0xc4});
  ASSERT_TRUE(rule);
  EXPECT_EQ(rule->kind, SL_RULE_BP);
  EXPECT_EQ(rule->cfa_offset, 16);
  EXPECT_EQ(rule->bp_offset, -16);
}

TEST(PrologueScan, KnowsWhatABranchLeftBehind) {
  // sub $8, %rsp; je +5; add $8, %rsp; ret; (branched to:) nop
  const auto rule = scan({0x48, 0x83, 0xec, 0x08, 0x74, 0x05, 0x48, 0x83, 0xc4, 0x08, 0xc3, 0x90});
  ASSERT_TRUE(rule);
  EXPECT_EQ(rule->cfa_offset, 16);
}

TEST(PrologueScan, SaysNothingWhereItCannotKnow) {
  EXPECT_FALSE(scan({0xc3, 0x90}));                                // nothing leads there
  EXPECT_FALSE(scan({0x48, 0x83, 0xe4, 0xf0, 0x90}));              // and $-16, %rsp
  EXPECT_FALSE(scan({0x74, 0x01, 0x50, 0x90}));                    // pushed on one path and not on the other
  EXPECT_FALSE(scan({0x58}));                                      // pops its own return address
  EXPECT_FALSE(scan({0x06}));                                      // no instruction
  EXPECT_FALSE(scan({0xe8, 0, 0}));                                // cut off
}

TEST(PrologueScan, SeesAFrameInCodeItDoesNotUnderstand) {
  // pop %rax; push %rbx; push %rax; push %rbp; mov %rsp, %rbp; push $6; call *%rdx; as V8's Builtins_CallApiCallback
  const Bytes code = bytes({0x58, 0x53, 0x50, 0x55, 0x48, 0x89, 0xe5, 0x6a, 0x06, 0xff, 0xd2, 0xc9, 0xc3});
  const ScannedCode scanned = scan_prologue(code, 11);
  EXPECT_FALSE(scanned.rule);
  EXPECT_TRUE(scanned.frames_bp);
  EXPECT_FALSE(scan_prologue(code, 4).frames_bp) << "not yet";
}

TEST(PrologueScan, SaysWhatTheUnwindTablesSay) {
  for (const std::string& path : {std::string(SOCKLEAK_SUBJECTS) + "/subject_frameless",
                                 std::string(SOCKLEAK_SUBJECTS) + "/subject_frame_pointer",
                                 std::string(SOCKLEAK_SUBJECTS) + "/subject_static"}) {
    if (!std::filesystem::exists(path)) continue;
    const Tally tally = compare(path);
    EXPECT_EQ(tally.different, 0u) << path;
    EXPECT_GT(tally.equal, 4 * tally.not_understood) << path;
  }
}

}  // namespace
}  // namespace sockleak
