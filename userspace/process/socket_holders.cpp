#include "process/socket_holders.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <optional>
#include <string_view>

#include "base/handle.hpp"

namespace sockleak {
namespace {

using Directory = CPtr<DIR, &closedir>;

template <typename T>
[[nodiscard]] std::optional<T> number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// "socket:[4026]".
[[nodiscard]] std::optional<std::uint64_t> socket_inode(std::string_view link) {
  constexpr std::string_view kBegin = "socket:[";
  if (!link.starts_with(kBegin) || !link.ends_with(']')) return std::nullopt;
  return number<std::uint64_t>(link.substr(kBegin.size(), link.size() - kBegin.size() - 1));
}

[[nodiscard]] std::string comm_of(const std::filesystem::path& process) {
  std::ifstream file(process / "comm");
  std::string line;
  std::getline(file, line);
  return line;
}

/// Adds the sockets of one descriptor table; false if it may not be read.
bool read_table(const std::filesystem::path& task, const std::filesystem::path& process, Pid pid, SocketHolders& out) {
  const Directory fds(opendir((task / "fd").c_str()));
  if (!fds) return errno != EACCES && errno != EPERM;
  std::string comm;
  std::array<char, 64> link{};
  while (const dirent* entry = readdir(fds.get())) {
    const auto fd = number<std::int32_t>(entry->d_name);
    if (!fd) continue;
    const auto length = readlinkat(dirfd(fds.get()), entry->d_name, link.data(), link.size());
    if (length < 0 && (errno == EACCES || errno == EPERM)) return false;
    if (length <= 0) continue;
    const auto inode = socket_inode({link.data(), static_cast<std::size_t>(length)});
    if (!inode) continue;
    if (comm.empty()) comm = comm_of(process);
    auto& holders = out.by_inode[*inode];
    const auto known = [&](const FdHolder& holder) { return holder.pid == pid && holder.fd.value == *fd; };
    if (std::none_of(holders.begin(), holders.end(), known)) holders.push_back({pid, Fd{*fd}, comm});
  }
  return true;
}

/// A thread normally uses its leader's table. Without kcmp(2) that cannot be told, and every thread is read.
[[nodiscard]] bool shares_table(std::uint32_t tid, std::uint32_t leader) {
  return ::syscall(SYS_kcmp, tid, leader, KCMP_FILES, 0, 0) == 0;
}

}  // namespace

SocketHolders find_socket_holders(const std::filesystem::path& proc) {
  SocketHolders out;
  const Directory processes(opendir(proc.c_str()));
  if (!processes) return out;
  while (const dirent* entry = readdir(processes.get())) {
    const auto pid = number<std::uint32_t>(entry->d_name);
    if (!pid) continue;
    const std::filesystem::path process = proc / entry->d_name;
    if (!read_table(process, process, Pid{*pid}, out)) {
      ++out.hidden;
      continue;
    }
    const Directory tasks(opendir((process / "task").c_str()));
    while (const dirent* task = tasks ? readdir(tasks.get()) : nullptr) {
      const auto tid = number<std::uint32_t>(task->d_name);
      if (!tid || *tid == *pid || shares_table(*tid, *pid)) continue;
      read_table(process / "task" / task->d_name, process, Pid{*pid}, out);
    }
  }
  return out;
}

}  // namespace sockleak
