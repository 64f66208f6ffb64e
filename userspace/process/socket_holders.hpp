// Which descriptors refer to which sockets, from /proc/PID/fd. Only what we may see: the answer says if that was all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/ids.hpp"

namespace sockleak {

struct FdHolder {
  Pid pid;
  Fd fd;
  std::string comm;
};

struct SocketHolders {
  std::unordered_map<std::uint64_t, std::vector<FdHolder>> by_inode;
  std::size_t hidden = 0;  // processes whose descriptors we may not read
};

/// Also of threads that have a table of their own, or have outlived their leader.
[[nodiscard]] SocketHolders find_socket_holders(const std::filesystem::path& proc);

}  // namespace sockleak
