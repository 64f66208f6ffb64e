#include "act/diag_message.hpp"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstring>
#include <string_view>

namespace sockleak::act {
namespace {

constexpr std::uint32_t kEveryState = ~0U;
constexpr std::uint16_t kUlpInfo = INET_DIAG_ULP_INFO;  // since Linux 5.4
constexpr std::uint16_t kUlpName = INET_ULP_INFO_NAME;

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

/// The attributes of a stretch of memory; mnl_attr_for_each is C only.
template <typename Visit>
void each_attribute(const void* begin, std::size_t length, Visit visit) {
  const char* const end = static_cast<const char*>(begin) + length;
  const auto* attribute = static_cast<const nlattr*>(begin);
  while (mnl_attr_ok(attribute, static_cast<int>(end - reinterpret_cast<const char*>(attribute)))) {
    visit(attribute);
    attribute = mnl_attr_next(attribute);
  }
}

/// Whether the upper-layer protocol of the socket is MPTCP.
[[nodiscard]] bool ulp_is_mptcp(const nlattr* ulp) {
  bool found = false;
  each_attribute(mnl_attr_get_payload(ulp), mnl_attr_get_payload_len(ulp), [&](const nlattr* inner) {
    if (mnl_attr_get_type(inner) != kUlpName) return;
    const std::string_view name(static_cast<const char*>(mnl_attr_get_payload(inner)), mnl_attr_get_payload_len(inner));
    found = name.substr(0, name.find('\0')) == "mptcp";
  });
  return found;
}

/// Time since the socket last sent or received data: it is at least that old. The kernel starts both clocks when the
/// connection is made, so they mean nothing before (net/ipv4/tcp_input.c, tcp_finish_connect).
[[nodiscard]] std::optional<Duration> silence_of(const nlattr* info, TcpState state) {
  constexpr std::size_t kNeeded = offsetof(tcp_info, tcpi_last_data_recv) + sizeof(tcp_info::tcpi_last_data_recv);
  if (state == TcpState::kListen || state == TcpState::kSynSent || state == TcpState::kSynRecv) return std::nullopt;
  if (mnl_attr_get_payload_len(info) < kNeeded) return std::nullopt;
  tcp_info facts{};
  std::memcpy(&facts, mnl_attr_get_payload(info), kNeeded);
  return std::chrono::milliseconds(std::max(facts.tcpi_last_data_sent, facts.tcpi_last_data_recv));
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
  socket.uid = message.idiag_uid;
  socket.receive_queue = message.idiag_rqueue;
  const auto* const payload = static_cast<const char*>(mnl_nlmsg_get_payload(header));
  each_attribute(payload + MNL_ALIGN(sizeof(inet_diag_msg)), mnl_nlmsg_get_payload_len(header) - sizeof(inet_diag_msg),
                 [&](const nlattr* attribute) {
                   const std::uint16_t type = mnl_attr_get_type(attribute);
                   if (type == kUlpInfo) socket.mptcp = ulp_is_mptcp(attribute);
                   if (type == INET_DIAG_INFO && protocol == Protocol::kTcp) {
                     socket.silent = silence_of(attribute, socket.state);
                   }
                 });
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

void put_dump(std::vector<std::byte>& out, Family family, Protocol protocol, std::uint32_t sequence,
              bool with_details) {
  put_request(out, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, sequence, [&](inet_diag_req_v2& request) {
    request.sdiag_family = static_cast<__u8>(family);
    request.sdiag_protocol = static_cast<__u8>(protocol);
    request.idiag_states = kEveryState;
    if (with_details) request.idiag_ext = 1U << (INET_DIAG_INFO - 1);
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
