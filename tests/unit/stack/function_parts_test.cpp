#include "stack/function_parts.hpp"

#include <fcntl.h>
#include <gelf.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <string>

// What is called in the unlikely case is marked cold, so that GCC puts that case into a part of its own.
extern "C" [[gnu::noipa, gnu::cold]] void report_rare_case(int value) { std::printf("%d\n", value); }
extern "C" [[gnu::noipa]] int split_function(int value) {
  if (value < 0) {
    report_rare_case(value);
    report_rare_case(value + 1);
    return -1;
  }
  return value * 3 + 1;
}

namespace sockleak {
namespace {

using ElfHandle = CPtr<Elf, &elf_end>;

std::map<std::string, CodeRange> functions_of(const Module& module) {
  std::map<std::string, CodeRange> functions;
  const ElfHandle elf(elf_begin(module.fd.get(), ELF_C_READ, nullptr));
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf.get(), section)) != nullptr;) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == nullptr || header.sh_type != SHT_SYMTAB) continue;
    Elf_Data* data = elf_getdata(section, nullptr);
    for (std::size_t i = 0; i < header.sh_size / header.sh_entsize; ++i) {
      GElf_Sym symbol;
      if (gelf_getsym(data, static_cast<int>(i), &symbol) == nullptr) break;
      const char* name = elf_strptr(elf.get(), header.sh_link, symbol.st_name);
      if (name != nullptr) functions[name] = {symbol.st_value, symbol.st_value + symbol.st_size};
    }
  }
  return functions;
}

struct OwnModule {
  OwnModule() : id(modules.add("self", UniqueFd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)))) {}
  [[nodiscard]] const Module& get() const { return modules.get(id); }
  ModuleStore modules;
  ModuleId id;
};

TEST(FunctionParts, IncludeWhatIsSeldomRun) {
  EXPECT_EQ(split_function(1), 4);
  const OwnModule own;
  auto functions = functions_of(own.get());
  if (!functions.contains("split_function.cold")) GTEST_SKIP() << "this compiler does not split functions";
  const CodeRange cold = functions["split_function.cold"];
  const auto parts = function_parts(own.get(), functions["split_function"]);
  ASSERT_EQ(parts.size(), 2U);
  EXPECT_EQ(parts[0], functions["split_function"]);
  EXPECT_EQ(parts[1].begin, cold.begin);
  EXPECT_GE(parts[1].end, cold.end);
  EXPECT_TRUE(parts[1].has_call_before(cold.begin + 5));
}

TEST(FunctionParts, OfAnUnsplitFunctionAreTheFunction) {
  const OwnModule own;
  auto functions = functions_of(own.get());
  if (functions.contains("report_rare_case.cold")) GTEST_SKIP() << "this compiler splits everything";
  EXPECT_EQ(function_parts(own.get(), functions["report_rare_case"]), std::vector{functions["report_rare_case"]})
      << "a jump to another function makes that no part of this one";
}

TEST(FunctionParts, OfWhatIsNotThereAreNone) {
  const OwnModule own;
  EXPECT_EQ(function_parts(own.get(), {1, 2}).size(), 1U);
  EXPECT_EQ(function_parts(own.get(), {2, 1}).size(), 1U);
  EXPECT_EQ(function_parts(Module{}, {0x1000, 0x2000}).size(), 1U);
}

}  // namespace
}  // namespace sockleak
