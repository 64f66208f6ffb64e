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

/// With `threads`, every thread's table is read too: a thread may have its own, or have outlived its leader.
[[nodiscard]] SocketHolders find_socket_holders(const std::filesystem::path& proc, bool threads);

}  // namespace sockleak
