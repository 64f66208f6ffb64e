// Reads below a /proc root. The root is a parameter so that tests can pass a fixture tree. A process may end at any
// moment: every answer is optional or an empty list, never an error.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/handle.hpp"
#include "base/ids.hpp"

namespace sockleak {

/// One executable, file-backed or special mapping of /proc/PID/maps.
struct MapsEntry {
  std::uint64_t start = 0, end = 0, offset = 0;
  std::uint64_t inode = 0;
  std::uint32_t device_major = 0, device_minor = 0;
  std::string path;  // as the kernel prints it, octal escapes undone, " (deleted)" removed; "[vdso]"; may be empty
};

/// Takes " (deleted)" off, which the kernel appends to the name of a file that has been unlinked.
void remove_deleted(std::string& path);

class Procfs {
 public:
  explicit Procfs(std::filesystem::path root = "/proc") : root_(std::move(root)) {}

  [[nodiscard]] bool exists(Pid pid) const;
  [[nodiscard]] bool has_thread(Pid pid, Pid tid) const;
  /// Thread group leader's name; empty if the process is gone.
  [[nodiscard]] std::string comm(Pid pid) const;
  /// Target of /proc/PID/exe; empty if unreadable. " (deleted)" removed.
  [[nodiscard]] std::string exe(Pid pid) const;
  /// Field 22 of /proc/PID/stat in clock ticks since boot.
  [[nodiscard]] std::optional<std::uint64_t> start_ticks(Pid pid) const;
  [[nodiscard]] std::optional<Pid> parent(Pid pid) const;
  /// Thread-group id of a pid or tid (Tgid: in status).
  [[nodiscard]] std::optional<Pid> thread_group(Pid pid) const;
  [[nodiscard]] std::vector<Pid> children(Pid pid) const;  // direct children, ascending
  /// All processes that run a program: no kernel threads, no zombies.
  [[nodiscard]] std::vector<Pid> programs() const;
  /// Its control group: cgroup_path() of /proc/PID/cgroup.
  [[nodiscard]] std::string cgroup(Pid pid) const;
  [[nodiscard]] std::optional<NetnsId> netns(Pid pid) const;
  [[nodiscard]] UniqueFd open_netns(Pid pid) const;  // invalid if gone or not permitted
  [[nodiscard]] std::vector<MapsEntry> executable_mappings(Pid pid) const;
  /// The file behind an executable mapping, whatever happened to its name: map_files, else /proc/PID/root/PATH, else
  /// PATH, the last two only if device and inode match.
  [[nodiscard]] UniqueFd open_mapping(Pid pid, const MapsEntry& entry) const;

 private:
  [[nodiscard]] std::filesystem::path of(Pid pid) const { return root_ / std::to_string(pid.value); }
  std::filesystem::path root_;
};

}  // namespace sockleak
