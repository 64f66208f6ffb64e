// Program headers, not sections: those are what the kernel maps, and stripped files may lack sections.
#include "stack/module_store.hpp"

#include <elfutils/libdwelf.h>
#include <gelf.h>
#include <libelf.h>
#include <sys/stat.h>

#include <array>
#include <optional>

namespace sockleak {
namespace {

using ElfHandle = CPtr<Elf, &elf_end>;

std::optional<FileIdentity> identity_of(int fd, bool& regular) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return std::nullopt;
  regular = S_ISREG(status.st_mode);
  return FileIdentity{.device = status.st_dev,
                      .inode = status.st_ino,
                      .size = static_cast<std::uint64_t>(status.st_size),
                      .mtime_ns = status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec};
}

std::vector<Module::Segment> segments_of(Elf* elf) {
  std::vector<Module::Segment> segments;
  std::size_t count = 0;
  if (elf_getphdrnum(elf, &count) != 0) return segments;
  for (std::size_t i = 0; i < count; ++i) {
    GElf_Phdr header;
    if (gelf_getphdr(elf, static_cast<int>(i), &header) == nullptr) break;
    if (header.p_type != PT_LOAD) continue;
    segments.push_back({.offset = header.p_offset,
                        .file_size = header.p_filesz,
                        .address = header.p_vaddr,
                        .memory_size = header.p_memsz,
                        .executable = (header.p_flags & PF_X) != 0});
  }
  return segments;
}

std::string build_id_of(Elf* elf) {
  const void* bytes = nullptr;
  const ssize_t length = dwelf_elf_gnu_build_id(elf, &bytes);
  std::string text;
  constexpr ssize_t kLongest = 64;  // linkers write 8, 16 or 20 bytes
  if (length <= 0 || length > kLongest) return text;
  static constexpr std::array kDigits{'0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};
  for (ssize_t i = 0; i < length; ++i) {
    const unsigned byte = static_cast<const unsigned char*>(bytes)[i];
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

// ELF_C_READ, not a memory map: whoever truncates the file meanwhile must not kill us with SIGBUS.
void read_headers(Module& module) {
  ElfHandle elf(elf_begin(module.fd.get(), ELF_C_READ, nullptr));
  if (elf == nullptr || elf_kind(elf.get()) != ELF_K_ELF) return;
  module.segments = segments_of(elf.get());
  module.build_id = build_id_of(elf.get());
}

}  // namespace

std::uint64_t Module::address_of_offset(std::uint64_t offset) const {
  std::uint64_t address = 0;
  for (const Segment& segment : segments) {
    if (offset < segment.offset || offset - segment.offset >= segment.file_size) continue;
    address = segment.address + (offset - segment.offset);
    if (segment.executable) break;  // segments may share a page of the file: code is what we are asked for
  }
  return address;
}

bool Module::read(std::uint64_t address, std::span<std::byte> out) const {
  if (!fd.valid()) return false;
  for (const Segment& segment : segments) {
    if (address < segment.address || address - segment.address >= segment.file_size) continue;
    const std::uint64_t inside = address - segment.address;
    if (out.size() > segment.file_size - inside) return false;
    const auto got = ::pread(fd.get(), out.data(), out.size(), static_cast<off_t>(segment.offset + inside));
    return got >= 0 && static_cast<std::size_t>(got) == out.size();
  }
  return false;
}

ModuleStore::ModuleStore() {
  elf_version(EV_CURRENT);
  modules_.emplace_back();  // kUnknown
}

ModuleId ModuleStore::add(std::string path, UniqueFd fd) {
  bool regular = false;
  const auto identity = fd.valid() ? identity_of(fd.get(), regular) : std::nullopt;
  if (identity) {
    if (auto known = by_file_.find(*identity); known != by_file_.end()) return known->second;
  } else if (auto known = unreadable_.find(path); known != unreadable_.end()) {
    return known->second;
  }
  if (modules_.size() >= kMaxModules) return kUnknown;
  const ModuleId id{static_cast<std::uint32_t>(modules_.size())};
  if (identity) {
    by_file_.emplace(*identity, id);
  } else {
    unreadable_.emplace(path, id);
    fd.reset();
  }
  Module& module = modules_.emplace_back();
  module.path = std::move(path);
  module.fd = std::move(fd);
  if (regular) read_headers(module);  // reading a device or a pipe could block or never end
  return id;
}

}  // namespace sockleak
