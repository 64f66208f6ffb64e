// Everything read is checked where it is used: a traced program's file may hold anything.
#include "stack/go_table.hpp"

#include <gelf.h>
#include <libelf.h>

#include <string_view>

#include "base/handle.hpp"

namespace sockleak {
namespace {

using ElfHandle = CPtr<Elf, &elf_end>;

constexpr std::uint32_t kMagic118 = 0xfffffff0, kMagic120 = 0xfffffff1;  // first release with this format
constexpr std::uint64_t kMaxFunctions = 1u << 24;                        // Kubernetes has 150 000
constexpr std::uint64_t kMaxTableBytes = 1u << 30;
constexpr std::size_t kMaxName = 4096;
constexpr int kMaxInlined = 64;
constexpr int kMaxSteps = 1 << 20;  // of a program of line numbers or the like: one per call site and more

// _func, offsets in bytes. Behind it lie npcdata and nfuncdata 32-bit offsets.
constexpr std::uint64_t kEntry = 0, kName = 4, kStackProgram = 16, kFileProgram = 20, kLineProgram = 24,
                        kProgramCount = 28, kUnit = 32;
constexpr std::uint64_t kDataCount118 = 39, kDataCount120 = 43;
constexpr std::uint32_t kInlineProgram = 2, kInlineTree = 3;  // PCDATA_InlTreeIndex, FUNCDATA_InlTree

// moduledata, offsets in words.
constexpr std::uint64_t kNamesWord = 1, kIndexWord = 16, kIndexLengthWord = 17, kTextWord = 22;
constexpr std::uint64_t kInlineTreesWord118 = 38, kInlineTreesWord120 = 40, kInlineTreesWord127 = 43;

struct Sections {
  bool any = false;         // the file has section headers
  bool go = false;          // and one of them is Go's
  std::uint64_t table = 0;  // addresses; 0 = none of that name
  std::uint64_t build_info = 0;
};

Sections sections_of(const Module& module) {
  Sections sections;
  const ElfHandle elf(elf_begin(module.fd.get(), ELF_C_READ, nullptr));
  std::size_t names = 0;
  if (elf == nullptr || elf_kind(elf.get()) != ELF_K_ELF || elf_getshdrstrndx(elf.get(), &names) != 0) return sections;
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf.get(), section)) != nullptr;) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == nullptr) break;
    const char* text = elf_strptr(elf.get(), names, header.sh_name);
    if (text == nullptr) continue;
    sections.any = true;
    const std::string_view name = text;
    // In position-independent programs the table is relocated data; an external linker may put it among the rest.
    if (name == ".gopclntab" || name == ".data.rel.ro.gopclntab") sections.table = header.sh_addr;
    if (name == ".go.buildinfo") sections.build_info = header.sh_addr;
    sections.go |= sections.table != 0 || sections.build_info != 0 || name.starts_with(".note.go.");
  }
  return sections;
}

std::uint64_t header_word(std::uint32_t magic) {
  // Behind the magic number: two zero bytes, the smallest instruction (1 on x86), the size of a pointer.
  return std::uint64_t{magic} | (std::uint64_t{0x08010000} << 32);
}

}  // namespace

std::optional<GoTable> GoTable::open(const Module& module) {
  if (!module.fd.valid() || module.segments.empty()) return std::nullopt;
  const Sections sections = sections_of(module);
  if (sections.any && !sections.go) return std::nullopt;
  GoTable table(module);
  bool found = sections.table != 0 && table.read_header(sections.table);
  for (const std::uint32_t magic : {kMagic120, kMagic118}) {
    constexpr std::size_t kAlignment = 8;
    if (!found) {
      found = table.reader_.scan(header_word(magic), sizeof(std::uint64_t), kAlignment,
                                 [&](std::uint64_t address) { return table.read_header(address); });
    }
  }
  if (!found) return std::nullopt;
  table.read_version(sections.build_info);
  table.read_module_data();
  if (table.text_ == 0) return std::nullopt;
  return table;
}

bool GoTable::read_header(std::uint64_t address) {
  constexpr std::uint64_t kWords = 8;
  const auto magic = reader_.value<std::uint64_t>(address);
  if (!magic || (*magic != header_word(kMagic118) && *magic != header_word(kMagic120))) return false;
  std::array<std::uint64_t, kWords> words{};
  if (!reader_.copy(address + sizeof *magic, std::as_writable_bytes(std::span(words)))) return false;
  const auto [functions, files, text, names, units, file_names, programs, index] = words;
  if (functions == 0 || functions > kMaxFunctions || files > kMaxFunctions) return false;
  for (const std::uint64_t offset : {names, units, file_names, programs, index}) {
    if (offset < sizeof *magic || offset > kMaxTableBytes) return false;
  }
  table_ = address;
  newer_ = *magic == header_word(kMagic120);
  functions_ = functions;
  text_ = text;  // 0 since Go 1.26: moduledata has it
  names_ = address + names;
  units_ = address + units;
  files_ = address + file_names;
  programs_ = address + programs;
  index_ = address + index;
  const auto first = reader_.value<std::uint32_t>(index_), last = reader_.value<std::uint32_t>(index_ + functions * 8);
  return first && last && *first < *last;
}

/// "go1.19.8" behind the magic text of src/debug/buildinfo, in line since Go 1.18.
void GoTable::read_version(std::uint64_t section) {
  constexpr std::uint64_t kFlags = 15, kVersion = 33;
  constexpr std::size_t kLongest = 16;
  if (section == 0 || reader_.text(section, 14) != "\xff Go buildinf:") return;
  if ((reader_.value<std::uint8_t>(section + kFlags).value_or(0) & 2) == 0) return;
  const std::string version = reader_.text(section + kVersion, kLongest);
  if (!version.starts_with("go1.")) return;
  unsigned minor = 0;
  for (std::size_t i = 4; i < version.size() && version[i] >= '0' && version[i] <= '9' && minor < 1000; ++i) {
    minor = minor * 10 + static_cast<unsigned>(version[i] - '0');
  }
  minor_version_ = minor;
}

void GoTable::read_module_data() {
  const auto word = [this](std::uint64_t module_data, std::uint64_t index) {
    return reader_.value<std::uint64_t>(module_data + index * sizeof(std::uint64_t)).value_or(0);
  };
  std::uint64_t inline_trees = newer_ ? kInlineTreesWord120 : kInlineTreesWord118;
  if (minor_version_ >= 27) inline_trees = kInlineTreesWord127;
  reader_.scan(table_, sizeof table_, sizeof table_, [&](std::uint64_t at) {
    if (word(at, kNamesWord) != names_ || word(at, kIndexWord) != index_ ||
        word(at, kIndexLengthWord) != functions_ + 1) {
      return false;
    }
    text_ = word(at, kTextWord);
    inline_trees_ = word(at, inline_trees);
    return true;
  });
}

std::optional<GoTable::Function> GoTable::function_at(std::uint64_t address) {
  if (address < text_) return std::nullopt;
  const std::uint64_t offset = address - text_;
  const auto entry = [this](std::uint64_t i) { return reader_.value<std::uint32_t>(index_ + i * 8); };
  std::uint64_t low = 0, high = functions_;  // entry(low) <= offset < entry(high)
  const auto first = entry(low), last = entry(high);
  if (!first || !last || offset < *first || offset >= *last) return std::nullopt;
  while (high - low > 1) {
    const std::uint64_t middle = low + (high - low) / 2;
    const auto start = entry(middle);
    if (!start) return std::nullopt;
    (*start <= offset ? low : high) = middle;
  }
  const auto start = entry(low), end = entry(high), record = reader_.value<std::uint32_t>(index_ + low * 8 + 4);
  if (!start || !end || !record || *start > offset || *end <= offset) return std::nullopt;
  const Function function{.entry = text_ + *start, .end = text_ + *end, .record = index_ + *record};
  // The record says again where the function begins: garbage rarely does.
  if (field<std::uint32_t>(function, kEntry) != *start) return std::nullopt;
  return function;
}

std::string GoTable::name(const Function& function) {
  const auto offset = field<std::uint32_t>(function, kName);
  return offset ? reader_.text(names_ + *offset, kMaxName) : "";
}

std::optional<std::uint32_t> GoTable::varint(std::uint64_t& cursor) {
  std::uint32_t value = 0;
  for (unsigned shift = 0; shift < 32; shift += 7) {
    const auto byte = reader_.value<std::uint8_t>(cursor++);
    if (!byte) return std::nullopt;
    value |= static_cast<std::uint32_t>(*byte & 0x7fu) << shift;
    if ((*byte & 0x80u) == 0) return value;
  }
  return std::nullopt;
}

/// Runs one of the function's programs: pairs of "value changes by" and "for so many bytes of code", from -1 on.
std::optional<std::int32_t> GoTable::value_at(const Function& function, std::uint64_t program, std::uint64_t address) {
  if (program == 0) return std::nullopt;
  std::uint64_t cursor = programs_ + program, pc = function.entry;
  std::uint32_t value = ~0u;
  for (int i = 0; i < kMaxSteps && pc < function.end; ++i) {
    const auto change = varint(cursor);
    if (!change || (*change == 0 && i != 0)) return std::nullopt;
    const auto bytes = varint(cursor);
    if (!bytes) return std::nullopt;
    value += (*change & 1) != 0 ? ~(*change >> 1) : *change >> 1;  // zigzag
    pc += *bytes;
    if (address < pc) return static_cast<std::int32_t>(value);
  }
  return std::nullopt;
}

std::optional<std::int32_t> GoTable::depth(const Function& function, std::uint64_t address) {
  return value_at(function, field<std::uint32_t>(function, kStackProgram).value_or(0), address);
}

GoTable::Place GoTable::place(const Function& function, std::uint64_t address) {
  Place place;
  const auto line = value_at(function, field<std::uint32_t>(function, kLineProgram).value_or(0), address);
  const auto file = value_at(function, field<std::uint32_t>(function, kFileProgram).value_or(0), address);
  const auto unit = field<std::uint32_t>(function, kUnit);
  if (!line || *line <= 0 || !file || *file < 0 || !unit) return place;
  const auto name = reader_.value<std::uint32_t>(units_ + (std::uint64_t{*unit} + static_cast<std::uint32_t>(*file)) * 4);
  if (!name || *name == ~0u) return place;
  place.file = reader_.text(files_ + *name, kMaxName);
  if (!place.file.empty()) place.line = static_cast<std::uint32_t>(*line);
  return place;
}

std::optional<GoTable::Inlined> GoTable::inlined_at(const Function& function, std::uint64_t address) {
  const std::uint64_t data_count = newer_ ? kDataCount120 : kDataCount118;
  const auto programs = field<std::uint32_t>(function, kProgramCount);
  const auto count = field<std::uint8_t>(function, data_count);
  if (inline_trees_ == 0 || !programs || *programs <= kInlineProgram || !count || *count <= kInlineTree) return {};
  const std::uint64_t offsets = data_count + 1;
  const auto program = field<std::uint32_t>(function, offsets + kInlineProgram * 4);
  const auto tree = field<std::uint32_t>(function, offsets + (std::uint64_t{*programs} + kInlineTree) * 4);
  if (!program || !tree || *tree == ~0u) return std::nullopt;
  const auto node = value_at(function, *program, address);
  if (!node || *node < 0) return std::nullopt;
  // inlinedCall: function name and parent's program counter at 12 and 16 of 20 bytes, since Go 1.20 at 4 and 8 of 16.
  const std::uint64_t at = inline_trees_ + *tree + static_cast<std::uint64_t>(*node) * (newer_ ? 16 : 20);
  const auto name = reader_.value<std::uint32_t>(at + (newer_ ? 4 : 12));
  const auto call = reader_.value<std::uint32_t>(at + (newer_ ? 8 : 16));
  if (!name || !call || *call >= function.end - function.entry) return std::nullopt;
  return Inlined{.function = reader_.text(names_ + *name, kMaxName), .call = function.entry + *call};
}

std::vector<GoTable::Call> GoTable::calls_at(std::uint64_t address) {
  std::vector<Call> calls;
  const auto function = function_at(address);
  if (!function) return calls;
  for (;;) {
    Place where = place(*function, address);
    const auto inlined = inlined_at(*function, address);
    const bool more = inlined && !inlined->function.empty() && calls.size() < kMaxInlined;
    calls.push_back({.function = more ? inlined->function : name(*function),
                     .file = std::move(where.file),
                     .line = where.line,
                     .inlined = more});
    if (!more) return calls;
    address = inlined->call;
  }
}

}  // namespace sockleak
