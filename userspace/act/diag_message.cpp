#include "act/diag_message.hpp"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include <array>
#include <cassert>
#include <cstring>

namespace sockleak::act {
namespace {

constexpr std::uint32_t kEveryState = ~0U;

/// Appends one message; `fill` gets its zeroed inet_diag_req_v2.
template <typename Fill>
void put_request(std::vector<std::byte>& out, std::uint16_t type, std::uint16_t flags, std::uint32_t sequence,
                 Fill fill) {
  alignas(NLMSG_ALIGNTO) std::array<char, kRequestBytes> buffer{};
  nlmsghdr* header = mnl_nlmsg_put_header(buffer.data());
  header->nlmsg_type = type;
  header->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  header->nlmsg_seq = sequence;
  fill(*static_cast<inet_diag_req_v2*>(mnl_nlmsg_put_extra_header(header, sizeof(inet_diag_req_v2))));
  const auto bytes = std::as_bytes(std::span(buffer)).first(header->nlmsg_len);
  out.insert(out.end(), bytes.begin(), bytes.end());
}

[[nodiscard]] Endpoint endpoint_of(Family family, const __be32 (&address)[4], __be16 port) {
  Endpoint endpoint;
  endpoint.family = family;
  endpoint.port = ntohs(port);
  std::memcpy(endpoint.address.data(), address, family == Family::kInet ? 4 : 16);
  return endpoint;
}

[[nodiscard]] TcpState state_of(std::uint8_t number) {
  // 13 is TCP_BOUND_INACTIVE (Linux 6.8): a CLOSE socket that has a port.
  if (number > static_cast<std::uint8_t>(TcpState::kNewSynRecv)) return TcpState::kClose;
  return static_cast<TcpState>(number);
}

void parse_socket(const nlmsghdr* header, Protocol protocol, Replies& into) {
  if (mnl_nlmsg_get_payload_len(header) < sizeof(inet_diag_msg)) {
    ++into.malformed;
    return;
  }
  inet_diag_msg message{};
  std::memcpy(&message, mnl_nlmsg_get_payload(header), sizeof(message));
  if (message.idiag_family != AF_INET && message.idiag_family != AF_INET6) {
    ++into.malformed;
    return;
  }
  const auto family = static_cast<Family>(message.idiag_family);
  SocketFacts socket;
  socket.id.value = (std::uint64_t{message.id.idiag_cookie[1]} << 32U) | message.id.idiag_cookie[0];
  socket.addresses = {endpoint_of(family, message.id.idiag_src, message.id.idiag_sport),
                      endpoint_of(family, message.id.idiag_dst, message.id.idiag_dport), protocol};
  socket.state = state_of(message.idiag_state);
  socket.interface = message.id.idiag_if;
  socket.inode = message.idiag_inode;
  into.sockets.push_back(std::move(socket));
}

void parse_error(const nlmsghdr* header, Replies& into) {
  // With NETLINK_CAP_ACK the request's payload is left out, its header never.
  if (mnl_nlmsg_get_payload_len(header) < sizeof(nlmsgerr)) {
    ++into.malformed;
    return;
  }
  nlmsgerr error{};
  std::memcpy(&error, mnl_nlmsg_get_payload(header), sizeof(error));
  if (error.error > 0) {
    ++into.malformed;
    return;
  }
  into.acknowledgements.push_back({header->nlmsg_seq, -error.error});
}

}  // namespace

void put_dump(std::vector<std::byte>& out, Family family, Protocol protocol, std::uint32_t sequence) {
  put_request(out, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, sequence, [&](inet_diag_req_v2& request) {
    request.sdiag_family = static_cast<__u8>(family);
    request.sdiag_protocol = static_cast<__u8>(protocol);
    request.idiag_states = kEveryState;
  });
}

void put_destroy(std::vector<std::byte>& out, const SocketFacts& socket, std::uint32_t sequence) {
  assert(socket.id.value != 0 && socket.id.value != ~std::uint64_t{0});  // ~0 is INET_DIAG_NOCOOKIE: any socket
  put_request(out, SOCK_DESTROY, NLM_F_ACK, sequence, [&](inet_diag_req_v2& request) {
    const Addresses& addresses = socket.addresses;
    request.sdiag_family = static_cast<__u8>(addresses.local.family);
    request.sdiag_protocol = static_cast<__u8>(addresses.protocol);
    request.idiag_states = kEveryState;
    request.id.idiag_sport = htons(addresses.local.port);
    request.id.idiag_dport = htons(addresses.remote.port);
    std::memcpy(request.id.idiag_src, addresses.local.address.data(), addresses.local.address.size());
    std::memcpy(request.id.idiag_dst, addresses.remote.address.data(), addresses.remote.address.size());
    request.id.idiag_if = socket.interface;
    request.id.idiag_cookie[0] = static_cast<__u32>(socket.id.value);
    request.id.idiag_cookie[1] = static_cast<__u32>(socket.id.value >> 32U);
  });
}

void parse_replies(std::span<const std::byte> datagram, Protocol protocol, Replies& into) {
  // Copied once, because netlink headers want their alignment.
  std::vector<std::uint32_t> aligned((datagram.size() + 3) / 4);
  std::memcpy(aligned.data(), datagram.data(), datagram.size());
  const auto* header = reinterpret_cast<const nlmsghdr*>(aligned.data());
  int left = static_cast<int>(datagram.size());
  // libmnl compares a length as if it had a sign.
  const auto fits = [&] { return mnl_nlmsg_ok(header, left) && header->nlmsg_len <= static_cast<unsigned>(left); };
  for (; fits(); header = mnl_nlmsg_next(header, &left)) {
    if ((header->nlmsg_flags & NLM_F_DUMP_INTR) != 0) into.interrupted = true;
    switch (header->nlmsg_type) {
      case NLMSG_DONE:
        into.end = true;
        break;
      case NLMSG_ERROR:
        parse_error(header, into);
        break;
      case SOCK_DIAG_BY_FAMILY:
        parse_socket(header, protocol, into);
        break;
      default:
        break;  // NLMSG_NOOP and what later kernels add
    }
  }
  if (left > 0) ++into.malformed;
}

}  // namespace sockleak::act
