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

#include "symbolize/dwarf_name.hpp"
#include "symbolize/symbolizer.hpp"

namespace sockleak {
namespace {

/// More inlining than this at one address, or more ranges in one unit, is corrupt debug information.
constexpr std::size_t kMostFrames = 256;
constexpr std::size_t kMostRanges = 1 << 20;
constexpr int kDeepest = 512;

/// Programs and shared objects only: libdwfl would also take relocatable files, cores, archives and compressed files.
bool is_program(int fd) {
  std::array<unsigned char, sizeof(Elf64_Ehdr)> header{};
  if (fd < 0 || ::pread(fd, header.data(), header.size(), 0) != static_cast<ssize_t>(header.size())) return false;
  if (std::memcmp(header.data(), ELFMAG, SELFMAG) != 0) return false;
  std::uint16_t type = 0;  // at the same place in both classes; we only trace little-endian machines
  std::memcpy(&type, header.data() + offsetof(Elf64_Ehdr, e_type), sizeof type);
  return type == ET_EXEC || type == ET_DYN;
}

bool covers(Dwarf_Die* die, Dwarf_Addr address) {
  return dwarf_haspc(die, address) == 1;
}

/// Relative names start at the directory the compiler ran in (DW_AT_comp_dir).
std::string absolute_file(Dwarf_Die* unit, const char* file) {
  if (file == nullptr || std::strcmp(file, "???") == 0) return "";
  if (file[0] == '/' || file[0] == '<') return file;
  Dwarf_Attribute attribute;
  const char* directory = dwarf_formstring(dwarf_attr(unit, DW_AT_comp_dir, &attribute));
  return directory == nullptr || *directory == '\0' ? std::string(file) : std::string(directory) + "/" + file;
}

std::uint32_t number(Dwarf_Die* die, unsigned name) {
  Dwarf_Attribute attribute;
  Dwarf_Word value = 0;
  // The call site belongs to this DIE alone, so no dwarf_attr_integrate.
  if (dwarf_formudata(dwarf_attr(die, name, &attribute), &value) != 0 || value > UINT32_MAX) return 0;
  return static_cast<std::uint32_t>(value);
}

/// Compilers write line 0 for code no line is to blame for (LLVM merges branches so); the nearest line before it in
/// the same scope is the best answer there is.
Dwarf_Line* line_with_number(Dwarf_Die* unit, Dwarf_Line* line, Dwarf_Die* scope) {
  int number = 0;
  if (line == nullptr || dwarf_lineno(line, &number) != 0 || number != 0) return line;
  Dwarf_Lines* lines = nullptr;
  std::size_t count = 0;
  if (dwarf_getsrclines(unit, &lines, &count) != 0) return line;
  std::size_t index = 0;
  while (index < count && dwarf_onesrcline(lines, index) != line) ++index;
  while (index-- > 0) {
    Dwarf_Line* before = dwarf_onesrcline(lines, index);
    Dwarf_Addr address = 0;
    bool end = false;
    if (dwarf_lineendsequence(before, &end) != 0 || end || dwarf_lineaddr(before, &address) != 0) break;
    if (scope == nullptr || !covers(scope, address)) break;
    if (dwarf_lineno(before, &number) == 0 && number != 0) return before;
  }
  return line;
}

bool find_calls(Dwarf_Die* parent, Dwarf_Addr address, bool everywhere, int depth, std::vector<Dwarf_Die>& calls);

/// find_calls() for one child of `parent`.
bool find_calls_in(Dwarf_Die* die, Dwarf_Addr address, bool everywhere, int depth, std::vector<Dwarf_Die>& calls) {
  switch (dwarf_tag(die)) {
    case DW_TAG_subprogram:
    case DW_TAG_inlined_subroutine:
      if (!covers(die, address)) {
        // A nested function lies inside another one's DIE, not inside its code.
        return everywhere && dwarf_tag(die) == DW_TAG_subprogram && find_calls(die, address, true, depth + 1, calls);
      }
      calls.push_back(*die);
      (void)find_calls(die, address, everywhere, depth + 1, calls);
      return true;
    case DW_TAG_namespace:
    case DW_TAG_module:
    case DW_TAG_class_type:
    case DW_TAG_structure_type:
    case DW_TAG_union_type:
    case DW_TAG_lexical_block:
    case DW_TAG_try_block:
    case DW_TAG_catch_block:
      return find_calls(die, address, everywhere, depth + 1, calls);
    default:
      return false;
  }
}

/// The function around `address` and all that is inlined there, outermost first. We walk ourselves: dwarf_getscopes()
/// (0.188) goes on in the abstract origin of the first inlined function it meets, which loses those around it, and
/// answers 0 in the units that clang and GCC's LTO write for our test programs.
bool find_calls(Dwarf_Die* parent, Dwarf_Addr address, bool everywhere, int depth, std::vector<Dwarf_Die>& calls) {
  Dwarf_Die child;
  if (depth > kDeepest || calls.size() > kMostFrames || dwarf_child(parent, &child) != 0) return false;
  do {
    if (find_calls_in(&child, address, everywhere, depth, calls)) return true;
  } while (dwarf_siblingof(&child, &child) == 0);
  return false;
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

ModuleSymbols::ModuleSymbols(const Module& module, const Dwfl_Callbacks& callbacks) : fd_(module.fd.get()) {
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
    Dwarf_Addr base = 0, start = 0, end = 0;
    ptrdiff_t next = 0;
    while (unit_ranges_.size() < kMostRanges && (next = dwarf_ranges(&unit, next, &base, &start, &end)) > 0) {
      if (start < end) unit_ranges_.push_back({start, end, end, unit});
    }
  }
  std::ranges::sort(unit_ranges_, {}, &UnitRange::start);
  Dwarf_Addr largest = 0;
  for (UnitRange& range : unit_ranges_) range.largest_end = largest = std::max(largest, range.end);
}

std::optional<Dwarf_Die> ModuleSymbols::unit_at(Dwarf_Addr module_address, Dwarf_Addr* bias) {
  // .debug_aranges, already sorted by libdwfl; it gives the unit before a gap too, hence the check.
  Dwarf_Die* listed = dwfl_module_addrdie(module_, module_address, bias);
  if (listed != nullptr && covers(listed, module_address - *bias)) return *listed;
  Dwarf* debug = dwfl_module_getdwarf(module_, bias);
  if (debug == nullptr) return std::nullopt;
  list_units(debug);
  const Dwarf_Addr address = module_address - *bias;
  auto range = std::ranges::upper_bound(unit_ranges_, address, {}, &UnitRange::start);
  while (range != unit_ranges_.begin() && (--range)->largest_end > address) {
    if (range->end > address) return range->unit;
  }
  return std::nullopt;
}

std::vector<Frame> ModuleSymbols::debug_frames(Dwarf_Die& unit, Dwarf_Addr address) const {
  // With split DWARF the functions are in the .dwo file's unit, the lines in the skeleton's.
  Dwarf_Die split;
  std::uint8_t type = 0;
  Dwarf_Die* functions = &unit;
  std::memset(&split, 0, sizeof split);
  if (dwarf_cu_info(unit.cu, nullptr, &type, nullptr, &split, nullptr, nullptr, nullptr) == 0 &&
      type == DW_UT_skeleton && split.addr != nullptr) {
    functions = &split;
  }

  std::vector<Dwarf_Die> calls;  // outermost first
  for (const bool everywhere : {false, true}) {
    if (find_calls(functions, address, everywhere, 0, calls)) break;
  }
  std::ranges::reverse(calls);

  Place place;
  if (Dwarf_Line* line =
          line_with_number(&unit, dwarf_getsrc_die(&unit, address), calls.empty() ? nullptr : &calls[0])) {
    int row = 0, column = 0;
    if (dwarf_lineno(line, &row) == 0 && row > 0) place.line = static_cast<std::uint32_t>(row);
    if (dwarf_linecol(line, &column) == 0 && column > 0) place.column = static_cast<std::uint32_t>(column);
    place.file = absolute_file(&unit, dwarf_linesrc(line, nullptr, nullptr));
  }

  std::vector<Frame> frames;
  Dwarf_Files* files = nullptr;
  std::size_t file_count = 0;
  if (dwarf_getsrcfiles(functions, &files, &file_count) != 0) files = nullptr;
  for (Dwarf_Die& call : calls) {
    const bool inlined = dwarf_tag(&call) == DW_TAG_inlined_subroutine;
    frames.push_back(Frame{.function = function_name(&call),
                           .file = place.file,
                           .line = place.line,
                           .column = place.column,
                           .module = {},
                           .build_id = {},
                           .inlined = inlined});
    if (!inlined) return frames;
    const std::uint32_t file = number(&call, DW_AT_call_file);
    place.line = number(&call, DW_AT_call_line);
    place.column = number(&call, DW_AT_call_column);
    place.file = files != nullptr && file < file_count && dwarf_hasattr(&call, DW_AT_call_file) != 0
                     ? absolute_file(&unit, dwarf_filesrc(files, file, nullptr, nullptr))
                     : "";
  }
  // Assembler units have lines but no functions: the symbol table names the last frame.
  frames.push_back(Frame{
      .function = {}, .file = place.file, .line = place.line, .column = place.column, .module = {}, .build_id = {}});
  return frames;
}

std::string ModuleSymbols::symbol_at(Dwarf_Addr module_address) const {
  GElf_Off offset = 0;
  GElf_Sym symbol{};
  const char* name = dwfl_module_addrinfo(module_, module_address, &offset, &symbol, nullptr, nullptr, nullptr);
  if (name == nullptr) return "";
  // Without sizes libdwfl answers the symbol before; only code may stand for what follows it, labels and data not.
  const int type = GELF_ST_TYPE(symbol.st_info);
  const bool is_code = type == STT_FUNC || type == STT_GNU_IFUNC;
  if (symbol.st_size != 0 ? offset >= symbol.st_size : !is_code) return "";
  return source_symbol(name);
}

std::vector<Frame> ModuleSymbols::functions_at(std::uint64_t pc) {
  std::vector<Frame> frames(1);
  if (module_ == nullptr || !file_is_unchanged()) return frames;
  const Dwarf_Addr module_address = pc + bias_;
  Dwarf_Addr debug_bias = 0;
  if (std::optional<Dwarf_Die> unit = unit_at(module_address, &debug_bias)) {
    frames = debug_frames(*unit, module_address - debug_bias);
  }
  if (frames.back().function.empty()) frames.back().function = symbol_at(module_address);
  return frames;
}

}  // namespace sockleak
