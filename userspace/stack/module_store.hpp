// Every file that a traced process maps executable, opened once and kept open: a process may exit, its binary be
// replaced or live in another mount namespace. Identity is (device, inode, size, mtime).
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/handle.hpp"
#include "base/ids.hpp"

namespace sockleak {

struct Module {
  std::string path;      // as the process mapped it
  std::string build_id;  // lower-case hex; empty = none
  UniqueFd fd;           // -1 = could not be opened (counted by the caller)
  /// PT_LOAD segments: file offset -> file virtual address.
  struct Segment { std::uint64_t offset, file_size, address, memory_size; bool executable; };
  std::vector<Segment> segments;

  /// File virtual address of a file offset, or nullopt-like 0 if no segment covers it.
  [[nodiscard]] std::uint64_t address_of_offset(std::uint64_t offset) const;

  /// The file's bytes that are mapped at file virtual address `address`. False unless all of them could be read.
  [[nodiscard]] bool read(std::uint64_t address, std::span<std::byte> out) const;
};

struct FileIdentity {
  std::uint64_t device = 0, inode = 0, size = 0;
  std::int64_t mtime_ns = 0;
  friend auto operator<=>(const FileIdentity&, const FileIdentity&) = default;
};

class ModuleStore {
 public:
  /// Module 0: addresses that belong to no known file.
  static constexpr ModuleId kUnknown{0};
  /// Each holds a descriptor; programs that map files without end get kUnknown from here on.
  static constexpr std::size_t kMaxModules = 16384;
  ModuleStore();

  /// Takes an open ELF file (or -1) mapped as `path`; the same file gives the same id.
  ModuleId add(std::string path, UniqueFd fd);
  [[nodiscard]] const Module& get(ModuleId id) const { return modules_[id.value]; }
  [[nodiscard]] std::size_t size() const { return modules_.size(); }

 private:
  std::vector<Module> modules_;
  std::map<FileIdentity, ModuleId> by_file_;
  std::map<std::string, ModuleId> unreadable_;
};

}  // namespace sockleak
