// Functions come from the unit's tree, the innermost line from its line table, the callers' from the call sites.
#include "symbolize/dwarf_unit.hpp"

#include <dwarf.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "symbolize/dwarf_name.hpp"

namespace sockleak {
namespace {

/// More of these is corrupt debug information: inlining at one address, ranges in one index, nested DIEs.
constexpr std::size_t kMostFrames = 256;
constexpr std::size_t kMostRanges = 1 << 22;
constexpr int kDeepest = 512;

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

/// What of `parent` is inlined at `address`, outermost first. We walk ourselves: dwarf_getscopes() (0.188) goes on in
/// the abstract origin of the first inlined function it meets, which loses those around it, and answers 0 in the units
/// that clang and GCC's LTO write for our test programs.
void add_inlined_calls(Dwarf_Die parent, Dwarf_Addr address, std::vector<Dwarf_Die>& calls) {
  Dwarf_Die child;
  int depth = 0;
  bool more = dwarf_child(&parent, &child) == 0;
  while (more && calls.size() < kMostFrames && depth < kDeepest) {
    const int tag = dwarf_tag(&child);
    const bool block = tag == DW_TAG_lexical_block || tag == DW_TAG_try_block || tag == DW_TAG_catch_block;
    const bool call = tag == DW_TAG_inlined_subroutine;
    if ((block || call) && covers(&child, address)) {
      if (call) calls.push_back(child);
      parent = child;
      ++depth;
      more = dwarf_child(&parent, &child) == 0;
    } else {
      more = dwarf_siblingof(&child, &child) == 0;
    }
  }
}

}  // namespace

void add_ranges(Dwarf_Die* die, std::uint64_t value, RangeIndex& index) {
  Dwarf_Addr base = 0, start = 0, end = 0;
  ptrdiff_t next = 0;
  while (index.size() < kMostRanges && (next = dwarf_ranges(die, next, &base, &start, &end)) > 0) {
    index.add(start, end, value);
  }
}

DwarfUnit::DwarfUnit(const Dwarf_Die& unit) : unit_(unit), functions_(unit) {
  Dwarf_Die split;
  std::uint8_t type = 0;
  std::memset(&split, 0, sizeof split);
  if (dwarf_cu_info(unit_.cu, nullptr, &type, nullptr, &split, nullptr, nullptr, nullptr) == 0 &&
      type == DW_UT_skeleton && split.addr != nullptr) {
    functions_ = split;
  }
  list_functions(&functions_, 0);
  by_address_.sort();
}

/// Everything that may hold functions is searched: clang writes them into namespaces, GNU C nests them.
void DwarfUnit::list_functions(Dwarf_Die* parent, int depth) {
  Dwarf_Die child;
  if (depth > kDeepest || dwarf_child(parent, &child) != 0) return;
  do {
    switch (dwarf_tag(&child)) {
      case DW_TAG_subprogram:
        if (dwarf_hasattr(&child, DW_AT_low_pc) != 0 || dwarf_hasattr(&child, DW_AT_ranges) != 0) {
          add_ranges(&child, listed_.size(), by_address_);
          listed_.push_back(child);
        }
        [[fallthrough]];
      case DW_TAG_namespace:
      case DW_TAG_module:
      case DW_TAG_class_type:
      case DW_TAG_structure_type:
      case DW_TAG_union_type:
      case DW_TAG_lexical_block:
        list_functions(&child, depth + 1);
        break;
      default:
        break;
    }
  } while (dwarf_siblingof(&child, &child) == 0);
}

/// The function at `address` and what is inlined there, innermost first.
std::vector<Dwarf_Die> DwarfUnit::calls_at(Dwarf_Addr address) const {
  std::vector<Dwarf_Die> calls;
  if (const std::optional<std::uint64_t> function = by_address_.find(address)) {
    calls.push_back(listed_[*function]);
    add_inlined_calls(calls.front(), address, calls);
    std::ranges::reverse(calls);
  }
  return calls;
}

std::vector<Frame> DwarfUnit::frames_at(Dwarf_Addr address) {
  std::vector<Dwarf_Die> calls = calls_at(address);
  Frame frame;  // where we are; function and inlined are added per call
  Dwarf_Line* exact = dwarf_getsrc_die(&unit_, address);
  if (Dwarf_Line* line = line_with_number(&unit_, exact, calls.empty() ? nullptr : &calls[0])) {
    int row = 0, column = 0;
    if (dwarf_lineno(line, &row) == 0 && row > 0) frame.line = static_cast<std::uint32_t>(row);
    if (dwarf_linecol(line, &column) == 0 && column > 0) frame.column = static_cast<std::uint32_t>(column);
    frame.file = absolute_file(&unit_, dwarf_linesrc(line, nullptr, nullptr));
  }

  std::vector<Frame> frames;
  Dwarf_Files* files = nullptr;
  std::size_t file_count = 0;
  if (dwarf_getsrcfiles(&functions_, &files, &file_count) != 0) file_count = 0;
  for (Dwarf_Die& call : calls) {
    frame.function = function_name(&call);
    frame.inlined = dwarf_tag(&call) == DW_TAG_inlined_subroutine;
    frames.push_back(frame);
    if (!frame.inlined) return frames;
    const std::uint32_t file = number(&call, DW_AT_call_file);
    const bool known = file < file_count && dwarf_hasattr(&call, DW_AT_call_file) != 0;
    frame.file = known ? absolute_file(&unit_, dwarf_filesrc(files, file, nullptr, nullptr)) : "";
    frame.line = number(&call, DW_AT_call_line);
    frame.column = number(&call, DW_AT_call_column);
  }
  // Assembler units have lines but no functions.
  frames.push_back(frame);
  return frames;
}

}  // namespace sockleak
