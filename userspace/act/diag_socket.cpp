#include "act/diag_socket.hpp"

#include <libmnl/libmnl.h>
#include <linux/netlink.h>

#include <algorithm>

namespace sockleak::act {
namespace {

constexpr std::size_t kReceiveBytes = 1U << 17U;  // a dump comes in pieces of up to 32 KiB
constexpr std::size_t kRequestsAtOnce = 64;       // their answers must fit the socket's receive buffer

}  // namespace

Result<DiagSocket> DiagSocket::open() {
  mnl_socket* raw = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
  if (raw == nullptr) {
    return fail_os(ErrorKind::kCannotTrace, "cannot ask the kernel for its sockets",
                   "needs CONFIG_INET_DIAG (module inet_diag)");
  }
  DiagSocket socket(raw);
  if (mnl_socket_bind(raw, 0, MNL_SOCKET_AUTOPID) != 0) {
    return fail_os(ErrorKind::kCannotTrace, "cannot bind a netlink socket");
  }
  const int on = 1;
  mnl_socket_setsockopt(raw, NETLINK_CAP_ACK, const_cast<int*>(&on), sizeof(on));  // only saves bytes
  socket.buffer_.resize(kReceiveBytes);
  return socket;
}

Result<void> DiagSocket::receive(Protocol protocol, Replies& into) {
  ssize_t length = 0;
  do {
    length = mnl_socket_recvfrom(socket_.get(), buffer_.data(), buffer_.size());
  } while (length < 0 && errno == EINTR);
  if (length < 0) return fail_os(ErrorKind::kCannotTrace, "cannot read the kernel's answer");
  parse_replies(std::span(buffer_).first(static_cast<std::size_t>(length)), protocol, into);
  return {};
}

Result<DiagSocket::Dump> DiagSocket::dump(Family family, Protocol protocol) {
  std::vector<std::byte> request;
  put_dump(request, family, protocol, ++sequence_);
  if (mnl_socket_sendto(socket_.get(), request.data(), request.size()) < 0) {
    return fail_os(ErrorKind::kCannotTrace, "cannot ask the kernel for its sockets");
  }
  Replies replies;
  while (!replies.end && replies.acknowledgements.empty()) {
    if (auto ok = receive(protocol, replies); !ok) return tl::unexpected(ok.error());
  }
  if (!replies.acknowledgements.empty()) {
    const int error = replies.acknowledgements.front().os_errno;
    if (error == ENOENT) return Dump{{}, true, false};
    return fail_os(ErrorKind::kCannotTrace, "the kernel does not list its sockets", {}, error);
  }
  return Dump{std::move(replies.sockets), !replies.interrupted && replies.malformed == 0, true};
}

Result<std::vector<int>> DiagSocket::destroy(std::span<const SocketFacts* const> sockets) {
  std::vector<int> answers(sockets.size(), EIO);
  for (std::size_t begin = 0; begin < sockets.size(); begin += kRequestsAtOnce) {
    const std::size_t count = std::min(kRequestsAtOnce, sockets.size() - begin);
    const std::uint32_t first = sequence_ + 1;
    std::vector<std::byte> requests;
    for (std::size_t i = 0; i < count; ++i) put_destroy(requests, *sockets[begin + i], ++sequence_);
    if (mnl_socket_sendto(socket_.get(), requests.data(), requests.size()) < 0) {
      return fail_os(ErrorKind::kCannotTrace, "cannot ask the kernel to destroy sockets");
    }
    Replies replies;
    while (replies.acknowledgements.size() < count) {
      if (auto ok = receive(Protocol::kTcp, replies); !ok) return tl::unexpected(ok.error());
      if (replies.malformed != 0) return fail(ErrorKind::kCannotTrace, "the kernel's answer makes no sense");
    }
    for (const Acknowledgement& answer : replies.acknowledgements) {
      const std::uint32_t index = answer.sequence - first;
      if (index < count) answers[begin + index] = answer.os_errno;
    }
  }
  return answers;
}

}  // namespace sockleak::act
