#include "act/shutdown.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace sockleak::act {
namespace {

constexpr unsigned kPidfdThread = O_EXCL;  // PIDFD_THREAD, Linux 6.9

[[nodiscard]] bool is_same(int fd, SocketId id) {
  std::uint64_t cookie = 0;
  socklen_t length = sizeof(cookie);
  return ::getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) == 0 && cookie == id.value;
}

}  // namespace

UniqueFd borrow(const SocketFacts& socket) {
  int why = ENOENT;
  for (const SocketHolder& holder : socket.holders) {
    if (holder.via != Via::kDescriptor) continue;
    const bool thread = holder.tid.value != 0 && holder.tid != holder.pid;  // with a table of its own
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, thread ? holder.tid.value : holder.pid.value,
                                                      thread ? kPidfdThread : 0)));
    if (!process.valid()) {
      if (thread && errno == EINVAL) why = ENOSYS;
      continue;
    }
    UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), holder.fd.value, 0)));
    if (fd.valid() && is_same(fd.get(), socket.id)) return fd;
    if (!fd.valid() && errno != EBADF && errno != ESRCH) why = errno;
  }
  errno = why;
  return UniqueFd();
}

int shut_down(const SocketFacts& socket) {
  const UniqueFd fd = borrow(socket);
  if (!fd.valid()) return errno;
  return ::shutdown(fd.get(), SHUT_RDWR) == 0 ? 0 : errno;
}

}  // namespace sockleak::act
