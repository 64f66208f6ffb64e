#include "act/orphan_trial.hpp"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "act/diag_socket.hpp"

namespace sockleak::act {
namespace {

enum Answer : int { kDies = 0, kStays = 1, kNoNamespace = 2, kNoOrphan = 3 };

[[nodiscard]] bool raise_loopback() {
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strncpy(request.ifr_name, "lo", IFNAMSIZ - 1);
  request.ifr_flags = IFF_UP;
  return fd.valid() && ::ioctl(fd.get(), SIOCSIFFLAGS, &request) == 0;
}

/// A server that never reads, and a client that was closed with more sent than the server has room for: FIN_WAIT1 with
/// a full write queue and a closed window. Returns the server's end.
[[nodiscard]] UniqueFd make_orphan() {
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int small = 4096;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* name = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener.get(), name, length) != 0 || ::listen(listener.get(), 1) != 0 ||
      ::getsockname(listener.get(), name, &length) != 0) {
    return UniqueFd();
  }
  if (::connect(client.get(), name, length) != 0 && errno != EINPROGRESS) return UniqueFd();
  UniqueFd server(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const std::array<char, 4096> data{};
  while (server.valid() && ::send(client.get(), data.data(), data.size(), MSG_NOSIGNAL) > 0) {
  }
  return server;
}

[[nodiscard]] std::optional<SocketFacts> find_orphan(DiagSocket& diag) {
  const auto dump = diag.dump(Family::kInet, Protocol::kTcp);
  if (!dump) return std::nullopt;
  const auto found = std::find_if(dump->sockets.begin(), dump->sockets.end(), [](const SocketFacts& socket) {
    return socket.inode == 0 && socket.state == TcpState::kFinWait1;
  });
  return found == dump->sockets.end() ? std::nullopt : std::optional(*found);
}

[[nodiscard]] Answer try_in_own_namespace() {
  if (::unshare(CLONE_NEWNET) != 0 || !raise_loopback()) return kNoNamespace;
  auto diag = DiagSocket::open();
  const UniqueFd server = make_orphan();
  if (!diag || !server.valid()) return kNoOrphan;
  const auto orphan = find_orphan(*diag);
  if (!orphan) return kNoOrphan;
  const SocketFacts* const target = &*orphan;
  const auto destroyed = diag->destroy(std::span(&target, 1));
  if (!destroyed || destroyed->front() != 0) return kNoOrphan;
  return find_orphan(*diag) ? kStays : kDies;
  // The server's end is closed with unread data: that resets whatever is left of the orphan.
}

}  // namespace

Result<bool> orphans_die() {
  const pid_t child = ::fork();
  if (child < 0) return fail_os(ErrorKind::kCannotTrace, "cannot start the orphan test");
  if (child == 0) ::_exit(try_in_own_namespace());
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status)) return fail(ErrorKind::kCannotTrace, "the orphan test crashed");
  switch (WEXITSTATUS(status)) {
    case kDies:
      return true;
    case kStays:
      return false;
    case kNoNamespace:
      return fail(ErrorKind::kCannotTrace, "no private network namespace for the orphan test", "needs CAP_SYS_ADMIN");
    default:
      return fail(ErrorKind::kCannotTrace, "the orphan test could not make or destroy an orphan");
  }
}

}  // namespace sockleak::act
