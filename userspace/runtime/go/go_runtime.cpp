// A release keeps the layout of src/runtime/runtime2.go, so its number is enough and cheap: debug information may be a
// hundred megabytes. The unit tests hold the table against it.
#include "runtime/go/go_runtime.hpp"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <gelf.h>

#include <algorithm>
#include <string_view>

#include "base/handle.hpp"
#include "stack/go_table.hpp"

namespace sockleak {
namespace {

using ElfHandle = CPtr<Elf, &elf_end>;
using DwarfHandle = CPtr<Dwarf, &dwarf_end>;
using std::string_view;

constexpr unsigned kFirstWithParent = 21;

std::optional<std::uint64_t> find_symbol(Elf* elf, int type, string_view wanted) {
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf, section)) != nullptr;) {
    GElf_Shdr facts;
    if (gelf_getshdr(section, &facts) == nullptr || facts.sh_type != SHT_SYMTAB || facts.sh_entsize == 0) continue;
    Elf_Data* data = elf_getdata(section, nullptr);
    for (std::size_t i = 0; data != nullptr && i < facts.sh_size / facts.sh_entsize; ++i) {
      GElf_Sym symbol;
      if (gelf_getsym(data, static_cast<int>(i), &symbol) == nullptr) break;
      if (GELF_ST_TYPE(symbol.st_info) != type) continue;
      const char* name = elf_strptr(elf, facts.sh_link, symbol.st_name);
      if (name != nullptr && wanted == name) return symbol.st_value;
    }
  }
  return std::nullopt;
}

/// The program's own variable lies right below the FS base unless other variables of its threads are there too.
std::int32_t tls_offset(const Module& module) {
  constexpr std::int32_t kOnlyOne = -8;
  const ElfHandle elf(elf_begin(module.fd.get(), ELF_C_READ_MMAP_PRIVATE, nullptr));
  std::size_t headers = 0;
  if (elf == nullptr || elf_getphdrnum(elf.get(), &headers) != 0) return 0;
  std::int64_t size = 8;
  for (std::size_t i = 0; i < headers; ++i) {
    GElf_Phdr header;
    if (gelf_getphdr(elf.get(), static_cast<int>(i), &header) == nullptr || header.p_type != PT_TLS) continue;
    if (header.p_memsz > 1u << 20 || header.p_align > 4096) return 0;
    const std::uint64_t align = std::max<std::uint64_t>(header.p_align, 1);
    size = static_cast<std::int64_t>((header.p_memsz + align - 1) / align * align);
  }
  if (size == -kOnlyOne) return kOnlyOne;
  const auto variable = find_symbol(elf.get(), STT_TLS, "runtime.tlsg");
  return variable ? static_cast<std::int32_t>(static_cast<std::int64_t>(*variable) - size) : 0;
}

/// A struct's members by name, as offsets.
class Members {
 public:
  explicit Members(Dwarf_Die structure) : structure_(structure) {}

  bool find(string_view wanted, std::uint16_t& offset) {
    Dwarf_Die member;
    if (dwarf_child(&structure_, &member) != 0) return false;
    do {
      const char* name = dwarf_diename(&member);
      Dwarf_Attribute attribute;
      Dwarf_Word value = 0;
      if (name == nullptr || wanted != name) continue;
      if (dwarf_formudata(dwarf_attr(&member, DW_AT_data_member_location, &attribute), &value) != 0) return false;
      offset = static_cast<std::uint16_t>(value);
      return value <= 0xffff;
    } while (dwarf_siblingof(&member, &member) == 0);
    return false;
  }

 private:
  Dwarf_Die structure_;
};

}  // namespace

std::optional<sl_go> go_offsets(unsigned minor) {
  sl_go go{};
  go.g_m = 48;
  go.has_parent = minor >= kFirstWithParent ? 1 : 0;
  switch (minor) {
    case 19:
      go.m_curg = 192, go.goid = 152, go.gopc = 296;
      return go;
    case 21:
    case 22:
      go.m_curg = 192, go.goid = 152, go.gopc = 280;
      return go;
    case 23:
    case 24:
      go.m_curg = 192, go.goid = 160, go.gopc = 288;
      return go;
    case 26:
    case 27:
      go.m_curg = 184, go.goid = 152, go.gopc = 288;
      return go;
    default:
      return std::nullopt;
  }
}

std::optional<sl_go> go_offsets_from_debug(const Module& module) {
  const ElfHandle elf(elf_begin(module.fd.get(), ELF_C_READ_MMAP_PRIVATE, nullptr));
  const DwarfHandle dwarf(elf == nullptr ? nullptr : dwarf_begin_elf(elf.get(), DWARF_C_READ, nullptr));
  if (dwarf == nullptr) return std::nullopt;
  sl_go go{};
  bool g = false, m = false;
  Dwarf_CU* unit = nullptr;
  Dwarf_Die root;
  while (!(g && m) && dwarf_get_units(dwarf.get(), unit, &unit, nullptr, nullptr, &root, nullptr) == 0) {
    const char* package = dwarf_diename(&root);
    Dwarf_Die die;
    if (package == nullptr || string_view(package) != "runtime" || dwarf_child(&root, &die) != 0) continue;
    do {
      const char* name = dwarf_tag(&die) == DW_TAG_structure_type ? dwarf_diename(&die) : nullptr;
      if (name == nullptr) continue;
      Members members(die);
      if (string_view(name) == "runtime.g") {
        std::uint16_t parent = 0;
        go.has_parent = members.find("parentGoid", parent) ? 1 : 0;
        g = members.find("m", go.g_m) && members.find("goid", go.goid) && members.find("gopc", go.gopc);
      } else if (string_view(name) == "runtime.m") {
        m = members.find("curg", go.m_curg);
      }
    } while (!(g && m) && dwarf_siblingof(&die, &die) == 0);
  }
  return g && m ? std::optional(go) : std::nullopt;
}

std::uint64_t go_variable(const Module& module, string_view name) {
  const ElfHandle elf(elf_begin(module.fd.get(), ELF_C_READ_MMAP_PRIVATE, nullptr));
  return elf == nullptr ? 0 : find_symbol(elf.get(), STT_OBJECT, name).value_or(0);
}

std::optional<sl_go> find_go(const Module& module) {
  const auto table = GoTable::open(module);
  if (!table) return std::nullopt;
  auto go = go_offsets(table->minor_version());
  if (!go) go = go_offsets_from_debug(module);
  if (!go) return sl_go{};
  go->g_from_fs = tls_offset(module);
  return go;
}

}  // namespace sockleak
