#include "stack/exported_symbols.hpp"

#include <gelf.h>

#include "base/handle.hpp"

namespace sockleak {
namespace {

using ElfHandle = CPtr<Elf, &elf_end>;

}  // namespace

void for_each_exported_symbol(const Module& module, const std::function<void(const ExportedSymbol&)>& take) {
  if (!module.fd.valid()) return;
  const ElfHandle elf(elf_begin(module.fd.get(), ELF_C_READ_MMAP_PRIVATE, nullptr));
  GElf_Ehdr header;
  if (elf == nullptr || gelf_getehdr(elf.get(), &header) == nullptr || header.e_machine != EM_X86_64) return;
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf.get(), section)) != nullptr;) {
    GElf_Shdr facts;
    if (gelf_getshdr(section, &facts) == nullptr || facts.sh_type != SHT_DYNSYM || facts.sh_entsize == 0) continue;
    Elf_Data* data = elf_getdata(section, nullptr);
    for (std::size_t i = 0; data != nullptr && i < facts.sh_size / facts.sh_entsize; ++i) {
      GElf_Sym symbol;
      if (gelf_getsym(data, static_cast<int>(i), &symbol) == nullptr) break;
      if (symbol.st_shndx == SHN_UNDEF) continue;
      const char* name = elf_strptr(elf.get(), facts.sh_link, symbol.st_name);
      if (name != nullptr) take({name, symbol.st_value, symbol.st_size});
    }
  }
}

}  // namespace sockleak
