#include "stack/function_starts.hpp"

#include <gelf.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace sockleak {

void FunctionStarts::list(Elf* elf) {
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf, section)) != nullptr;) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == nullptr || header.sh_entsize == 0) continue;
    if (header.sh_type != SHT_SYMTAB && header.sh_type != SHT_DYNSYM) continue;
    Elf_Data* data = elf_getdata(section, nullptr);
    for (std::size_t i = 0; data != nullptr && i < header.sh_size / header.sh_entsize; ++i) {
      GElf_Sym symbol;
      if (gelf_getsym(data, static_cast<int>(i), &symbol) == nullptr) break;
      if (GELF_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF || symbol.st_size == 0) continue;
      // Compilers put what is seldom run elsewhere: control comes from the middle of another function.
      const char* name = elf_strptr(elf, header.sh_link, symbol.st_name);
      if (name == nullptr || std::string_view(name).find(".cold") != std::string_view::npos) continue;
      functions_.push_back({symbol.st_value, symbol.st_value + symbol.st_size});
    }
  }
  std::ranges::sort(functions_, {}, &Function::start);
}

std::optional<FunctionStarts::Function> FunctionStarts::around(Elf* elf, std::uint64_t address) {
  if (elf != nullptr && !std::exchange(listed_, true)) list(elf);
  const auto next = std::ranges::upper_bound(functions_, address, {}, &Function::start);
  if (next == functions_.begin() || address >= std::prev(next)->end) return std::nullopt;
  return *std::prev(next);
}

}  // namespace sockleak
