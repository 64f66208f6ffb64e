// A sock_diag netlink socket. It speaks for the network namespace it was opened in, for as long as it lives.
#pragma once

#include <span>
#include <vector>

#include "act/diag_message.hpp"
#include "base/handle.hpp"
#include "base/result.hpp"

struct mnl_socket;
extern "C" int mnl_socket_close(struct mnl_socket*);

namespace sockleak::act {

class DiagSocket {
 public:
  static Result<DiagSocket> open();

  struct Dump {
    std::vector<SocketFacts> sockets;
    bool whole = true;
    bool supported = true;
  };
  /// A kernel without the diag module of the protocol has none to show.
  Result<Dump> dump(Family family, Protocol protocol);

  /// The kernel's answer for each socket, in order: 0, or an errno. A request without an answer is EIO.
  Result<std::vector<int>> destroy(std::span<const SocketFacts* const> sockets);

 private:
  explicit DiagSocket(mnl_socket* socket) : socket_(socket) {}
  Result<void> receive(Protocol protocol, Replies& into);
  CPtr<mnl_socket, &mnl_socket_close> socket_;
  std::vector<std::byte> buffer_;
  std::uint32_t sequence_ = 0;
};

}  // namespace sockleak::act
