#include "stack/module_store.hpp"

#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <random>

#include "stack/rule_compiler.hpp"

namespace sockleak {
namespace {

UniqueFd open_self() {
  return UniqueFd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
}

// An unnamed file with these bytes.
UniqueFd file_with(const std::string& bytes) {
  UniqueFd fd(::memfd_create("sockleak-test", MFD_CLOEXEC));
  EXPECT_EQ(::pwrite(fd.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  return fd;
}

std::string own_bytes() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class NoCode final : public CodeOracle {
 public:
  [[nodiscard]] bool is_code(std::uint64_t) const override { return false; }
  [[nodiscard]] bool follows_call(std::uint64_t) const override { return false; }
};

TEST(ModuleStore, ModuleZeroIsTheUnknownOne) {
  const ModuleStore store;
  EXPECT_EQ(store.size(), 1u);
  EXPECT_TRUE(store.get(ModuleStore::kUnknown).segments.empty());
  EXPECT_EQ(store.get(ModuleStore::kUnknown).address_of_offset(0), 0u);
}

TEST(ModuleStore, ReadsSegmentsAndCodeOfARealProgram) {
  ModuleStore store;
  const ModuleId id = store.add("/somewhere/program", open_self());
  const Module& module = store.get(id);
  EXPECT_EQ(module.path, "/somewhere/program");
  const Module::Segment* code = nullptr;
  for (const auto& segment : module.segments) code = segment.executable ? &segment : code;
  ASSERT_NE(code, nullptr);
  EXPECT_EQ(module.address_of_offset(code->offset + 0x10), code->address + 0x10);
  EXPECT_EQ(module.address_of_offset(std::uint64_t{1} << 60), 0u);

  std::array<std::byte, 16> bytes{};
  ASSERT_TRUE(module.read(code->address, bytes));
  EXPECT_EQ(std::memcmp(bytes.data(), own_bytes().data() + code->offset, bytes.size()), 0);
  EXPECT_FALSE(module.read(code->address + code->file_size - 8, bytes));
  EXPECT_FALSE(module.read(std::uint64_t{1} << 60, bytes));
}

TEST(ModuleStore, ReadsTheBuildIdFromItsNote) {
  // The smallest file that has one: a header, one PT_NOTE, the note.
  struct File {
    Elf64_Ehdr header;
    Elf64_Phdr note;
    Elf64_Nhdr note_header;
    char name[4];
    unsigned char id[4];
  } file{};
  std::memcpy(file.header.e_ident, ELFMAG, SELFMAG);
  file.header.e_ident[EI_CLASS] = ELFCLASS64;
  file.header.e_ident[EI_DATA] = ELFDATA2LSB;
  file.header.e_ident[EI_VERSION] = EV_CURRENT;
  file.header.e_type = ET_DYN;
  file.header.e_machine = EM_X86_64;
  file.header.e_version = EV_CURRENT;
  file.header.e_phoff = offsetof(File, note);
  file.header.e_ehsize = sizeof(Elf64_Ehdr);
  file.header.e_phentsize = sizeof(Elf64_Phdr);
  file.header.e_phnum = 1;
  file.note = {.p_type = PT_NOTE,
               .p_flags = PF_R,
               .p_offset = offsetof(File, note_header),
               .p_vaddr = 0,
               .p_paddr = 0,
               .p_filesz = sizeof(File) - offsetof(File, note_header),
               .p_memsz = sizeof(File) - offsetof(File, note_header),
               .p_align = 4};
  file.note_header = {.n_namesz = 4, .n_descsz = 4, .n_type = NT_GNU_BUILD_ID};
  std::memcpy(file.name, "GNU", 4);
  const unsigned char id[4] = {0x0a, 0xbc, 0xde, 0xf9};
  std::memcpy(file.id, id, 4);

  ModuleStore store;
  const ModuleId module = store.add("x", file_with(std::string(reinterpret_cast<const char*>(&file), sizeof file)));
  EXPECT_EQ(store.get(module).build_id, "0abcdef9");
}

TEST(ModuleStore, TheSameFileIsTheSameModuleUnderAnyName) {
  ModuleStore store;
  const ModuleId first = store.add("/a", open_self());
  EXPECT_EQ(store.add("/b", open_self()), first);
  EXPECT_EQ(store.get(first).path, "/a");
  EXPECT_NE(store.add("/a", file_with("another file under that name")), first);
}

TEST(ModuleStore, UnreadableFilesKeepTheirName) {
  ModuleStore store;
  const ModuleId gone = store.add("/gone/lib.so", UniqueFd());
  EXPECT_NE(gone, ModuleStore::kUnknown);
  EXPECT_EQ(store.add("/gone/lib.so", UniqueFd()), gone);
  EXPECT_NE(store.add("/gone/other.so", UniqueFd()), gone);
  EXPECT_EQ(store.get(gone).path, "/gone/lib.so");
  EXPECT_TRUE(store.get(gone).segments.empty());
  EXPECT_FALSE(store.get(gone).fd.valid());
}

TEST(ModuleStore, WhatIsNoElfFileHasNoSegments) {
  ModuleStore store;
  for (const char* text : {"", "#!/bin/sh\n", "\177ELF", "\177ELF\2\1\1"}) {
    const ModuleId id = store.add("script", file_with(text));
    EXPECT_EQ(store.get(id).path, "script");
    EXPECT_TRUE(store.get(id).segments.empty());
    EXPECT_TRUE(store.get(id).build_id.empty());
  }
}

TEST(ModuleStore, DevicesAndPipesAreNotRead) {
  ModuleStore store;
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd writer(ends[1]);
  EXPECT_TRUE(store.get(store.add("pipe", UniqueFd(ends[0]))).segments.empty());
  EXPECT_TRUE(store.get(store.add("zero", UniqueFd(::open("/dev/zero", O_RDONLY | O_CLOEXEC)))).segments.empty());
}

TEST(ModuleStore, DamagedFilesHurtNobody) {
  const std::string whole = own_bytes().substr(0, 1u << 20);
  std::mt19937_64 random(20240611);
  const StackCopy copy;
  const NoCode code;
  for (int round = 0; round < 150; ++round) {
    ModuleStore store;
    RuleCompiler compiler(store);
    std::string bytes = whole;
    if (round % 2 == 0) bytes.resize(random() % bytes.size());
    const std::size_t flips = random() % 40;
    for (std::size_t i = 0; i < flips && !bytes.empty(); ++i) {
      const std::size_t range = i % 2 == 0 ? std::min<std::size_t>(bytes.size(), 1024) : bytes.size();
      bytes[random() % range] = static_cast<char>(random());
    }
    const ModuleId id = store.add("damaged", file_with(bytes));
    compiler.warm_up(id);
    for (int i = 0; i < 40; ++i) {
      const std::uint64_t address = random() % (2u << 20);
      (void)compiler.compile(id, address, WalkState{.pc = address}, copy, code);
      (void)store.get(id).address_of_offset(address);
    }
  }
}

}  // namespace
}  // namespace sockleak
