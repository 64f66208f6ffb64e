#include "source/socket_names.hpp"

#include <linux/types.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <string>
#include <system_error>

#include "base/handle.hpp"

namespace sockleak {

void name_sockets(Pid pid) {
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid.value, 0)));
  if (!process.valid()) return;  // gone: so are its sockets
  std::error_code error;
  const std::filesystem::path descriptors = "/proc/" + std::to_string(pid.value) + "/fd";
  for (std::filesystem::directory_iterator entry(descriptors, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code unreadable;
    if (!std::filesystem::read_symlink(entry->path(), unreadable).native().starts_with("socket:")) continue;
    const std::string name = entry->path().filename();
    int number = -1;
    std::from_chars(name.data(), name.data() + name.size(), number);
    const UniqueFd copy(static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), number, 0)));
    __u64 cookie = 0;
    socklen_t size = sizeof(cookie);
    if (copy.valid()) ::getsockopt(copy.get(), SOL_SOCKET, SO_COOKIE, &cookie, &size);
  }
}

}  // namespace sockleak
