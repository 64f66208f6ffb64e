// Order of trust: debug information (functions, inlining, lines), then the symbol table (a name only). Whatever is
// malformed is treated as missing: libdw answers -1 or NULL and the next source is asked.
#include "symbolize/dwfl_module_symbols.hpp"

#include <dwarf.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "symbolize/symbolizer.hpp"

namespace sockleak {
namespace {

constexpr GElf_Xword kUnsizedFunction = 4095;

/// Programs and shared objects only: libdwfl would also take relocatable files, cores, archives and compressed files.
bool is_program(int fd) {
  std::array<unsigned char, sizeof(Elf64_Ehdr)> header{};
  if (fd < 0 || ::pread(fd, header.data(), header.size(), 0) != static_cast<ssize_t>(header.size())) return false;
  if (std::memcmp(header.data(), ELFMAG, SELFMAG) != 0) return false;
  std::uint16_t type = 0;  // at the same place in both classes; we only trace little-endian machines
  std::memcpy(&type, header.data() + offsetof(Elf64_Ehdr, e_type), sizeof type);
  return type == ET_EXEC || type == ET_DYN;
}

/// "foo@@GLIBC_2.2.5" -> "foo"; clones the compiler made of a C function -> the function.
std::string source_symbol(std::string_view symbol) {
  symbol = symbol.substr(0, symbol.find('@'));
  const std::string name = demangle(std::string(symbol));
  if (name != symbol) return name;
  for (const std::string_view clone :
       {".constprop.", ".isra.", ".part.", ".cold", ".lto_priv.", ".llvm.", ".localalias"}) {
    if (const std::size_t at = symbol.find(clone); at != std::string_view::npos && at != 0)
      symbol = symbol.substr(0, at);
  }
  return std::string(symbol);
}

}  // namespace

ModuleSymbols::ModuleSymbols(const Module& module, const Dwfl_Callbacks& callbacks, void* data)
    : fd_(module.fd.get()) {
  struct stat facts {};
  if (!is_program(fd_) || ::fstat(fd_, &facts) != 0) return;
  size_ = facts.st_size;
  modified_ = facts.st_mtim;
  UniqueFd copy(::fcntl(fd_, F_DUPFD_CLOEXEC, 0));
  dwfl_.reset(dwfl_begin(&callbacks));
  if (!copy.valid() || dwfl_ == nullptr) return;
  dwfl_report_begin(dwfl_.get());
  // add_p_vaddr: base 0 then means that module addresses are the file's own virtual addresses.
  module_ = dwfl_report_elf(dwfl_.get(), module.path.c_str(), module.path.c_str(), copy.get(), 0, true);
  if (module_ != nullptr) (void)copy.release();  // consumed on success only
  if (dwfl_report_end(dwfl_.get(), nullptr, nullptr) != 0) module_ = nullptr;
  if (void** place = nullptr; module_ != nullptr) {
    dwfl_module_info(module_, &place, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr);
    *place = data;
  }
  if (module_ != nullptr && dwfl_module_getelf(module_, &bias_) == nullptr) module_ = nullptr;
}

/// libelf has the file mapped: reading a part that was cut off since would be SIGBUS, a rewritten one other code.
bool ModuleSymbols::file_is_unchanged() const {
  struct stat facts {};
  return ::fstat(fd_, &facts) == 0 && facts.st_size == size_ && facts.st_mtim.tv_sec == modified_.tv_sec &&
         facts.st_mtim.tv_nsec == modified_.tv_nsec;
}

/// For compilers that write no .debug_aranges (clang, rustc): the ranges of every unit.
void ModuleSymbols::list_units(Dwarf* debug) {
  if (std::exchange(units_listed_, true)) return;
  Dwarf_CU* cursor = nullptr;
  Dwarf_Half version = 0;
  std::uint8_t type = 0;
  Dwarf_Die unit;
  while (dwarf_get_units(debug, cursor, &cursor, &version, &type, &unit, nullptr) == 0) {
    if (type == DW_UT_type || type == DW_UT_split_type) continue;
    add_ranges(&unit, listed_units_.size(), units_by_address_);
    listed_units_.push_back(unit);
  }
  units_by_address_.sort();
}

std::optional<Dwarf_Die> ModuleSymbols::unit_at(Dwarf_Addr module_address, Dwarf_Addr* bias) {
  // .debug_aranges, already sorted by libdwfl; it gives the unit before a gap too, hence the check.
  Dwarf_Die* listed = dwfl_module_addrdie(module_, module_address, bias);
  if (listed != nullptr && dwarf_haspc(listed, module_address - *bias) == 1) return *listed;
  Dwarf* debug = dwfl_module_getdwarf(module_, bias);
  if (debug == nullptr) return std::nullopt;
  list_units(debug);
  const std::optional<std::uint64_t> found = units_by_address_.find(module_address - *bias);
  if (!found) return std::nullopt;
  return listed_units_[*found];
}

/// dwfl_module_addrinfo() (0.188) goes through the whole table at each call: 5 ms in a program with 110 000 symbols.
void ModuleSymbols::list_symbols() {
  if (std::exchange(symbols_listed_, true)) return;
  const int count = dwfl_module_getsymtab(module_);
  for (int i = 1; i < count; ++i) {
    GElf_Sym symbol;
    GElf_Addr address = 0;
    if (dwfl_module_getsym_info(module_, i, &symbol, &address, nullptr, nullptr, nullptr) == nullptr) continue;
    const int type = GELF_ST_TYPE(symbol.st_info);
    // Only code, and only as far as it says it goes: labels and data must not name what follows them.
    if ((type != STT_FUNC && type != STT_GNU_IFUNC) || symbol.st_shndx == SHN_UNDEF) continue;
    // Hand-written code may have no size; one byte less than a page is as far as we believe it.
    const GElf_Xword size = symbol.st_size != 0 ? symbol.st_size : kUnsizedFunction;
    RangeIndex& index = symbol.st_size != 0 ? symbols_by_address_ : unsized_by_address_;
    index.add(address, address + size, static_cast<std::uint64_t>(i));
  }
  symbols_by_address_.sort();
  unsized_by_address_.sort();
}

std::string ModuleSymbols::symbol_at(Dwarf_Addr module_address) {
  list_symbols();
  std::optional<std::uint64_t> found = symbols_by_address_.find(module_address);
  if (!found) found = unsized_by_address_.find(module_address);
  if (!found) return "";
  GElf_Sym symbol;
  GElf_Addr address = 0;
  const char* name =
      dwfl_module_getsym_info(module_, static_cast<int>(*found), &symbol, &address, nullptr, nullptr, nullptr);
  return name != nullptr ? source_symbol(name) : "";
}

std::vector<Frame> ModuleSymbols::functions_at(std::uint64_t pc) {
  std::vector<Frame> frames(1);
  if (module_ == nullptr || !file_is_unchanged()) {
    frames.back().gap = module_ == nullptr ? NameGap::kUnreadable : NameGap::kChanged;
    return frames;
  }
  const Dwarf_Addr module_address = pc + bias_;
  Dwarf_Addr debug_bias = 0;
  if (const std::optional<Dwarf_Die> unit = unit_at(module_address, &debug_bias)) {
    frames = units_.try_emplace(unit->cu, *unit).first->second.frames_at(module_address - debug_bias);
  }
  Frame& outermost = frames.back();
  if (outermost.function.empty()) outermost.function = symbol_at(module_address);
  if (outermost.line == 0) outermost.gap = outermost.function.empty() ? NameGap::kNoSymbol : NameGap::kNoLine;
  return frames;
}

}  // namespace sockleak
