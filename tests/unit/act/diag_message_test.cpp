// Bytes to and from the kernel, and what is no answer of a kernel.
#include "act/diag_message.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include <array>
#include <cstring>
#include <random>

#include "unit/act/tables.hpp"

namespace sockleak::act {
namespace {

template <typename Payload>
void append(std::vector<std::byte>& out, std::uint16_t type, const Payload& payload, const char* ulp = nullptr,
            std::uint32_t sequence = 7) {
  alignas(4) std::array<char, 512> buffer{};
  nlmsghdr* header = mnl_nlmsg_put_header(buffer.data());
  header->nlmsg_type = type;
  header->nlmsg_seq = sequence;
  std::memcpy(mnl_nlmsg_put_extra_header(header, sizeof(payload)), &payload, sizeof(payload));
  if (ulp != nullptr) {
    nlattr* nest = mnl_attr_nest_start(header, INET_DIAG_ULP_INFO);
    mnl_attr_put_strz(header, INET_ULP_INFO_NAME, ulp);
    mnl_attr_nest_end(header, nest);
  }
  const auto bytes = std::as_bytes(std::span(buffer)).first(header->nlmsg_len);
  out.insert(out.end(), bytes.begin(), bytes.end());
}

inet_diag_msg message_of(const SocketFacts& socket) {
  inet_diag_msg message{};
  message.idiag_family = static_cast<__u8>(socket.addresses.local.family);
  message.idiag_state = static_cast<__u8>(socket.state);
  message.id.idiag_sport = htons(socket.addresses.local.port);
  message.id.idiag_dport = htons(socket.addresses.remote.port);
  std::memcpy(message.id.idiag_src, socket.addresses.local.address.data(), 16);
  std::memcpy(message.id.idiag_dst, socket.addresses.remote.address.data(), 16);
  message.id.idiag_cookie[0] = static_cast<__u32>(socket.id.value);
  message.id.idiag_cookie[1] = static_cast<__u32>(socket.id.value >> 32);
  message.idiag_inode = static_cast<__u32>(socket.inode);
  return message;
}

Replies parsed(std::span<const std::byte> bytes) {
  Replies replies;
  parse_replies(bytes, Protocol::kTcp, replies);
  return replies;
}

TEST(DiagMessage, ASocketIsReadWhole) {
  SocketFacts socket = tcp(0x1234567890, TcpState::kCloseWait);
  socket.inode = 4026;
  std::vector<std::byte> bytes;
  append(bytes, SOCK_DIAG_BY_FAMILY, message_of(socket));
  append(bytes, SOCK_DIAG_BY_FAMILY, message_of(socket), "mptcp");
  append(bytes, SOCK_DIAG_BY_FAMILY, message_of(socket), "tls");
  append(bytes, NLMSG_DONE, 0);
  const Replies replies = parsed(bytes);
  ASSERT_EQ(replies.sockets.size(), 3U);
  EXPECT_TRUE(replies.end);
  EXPECT_EQ(replies.malformed, 0U);
  EXPECT_EQ(replies.sockets[0].id, socket.id);
  EXPECT_EQ(replies.sockets[0].state, TcpState::kCloseWait);
  EXPECT_EQ(replies.sockets[0].inode, socket.inode);
  EXPECT_EQ(to_string(replies.sockets[0]), "tcp 10.0.0.1:40000 -> 10.0.0.9:5432");
  EXPECT_EQ(replies.sockets[1].id, socket.id) << "attributes that nobody asked for do no harm";
}

TEST(DiagMessage, DestroyNamesAddressesAndCookie) {
  SocketFacts socket = tcp(0xAABBCCDD11223344, TcpState::kEstablished);
  socket.addresses.local = at("2001:db8::1", 443);
  socket.addresses.remote = at("2001:db8::2", 50000);
  socket.interface = 3;
  std::vector<std::byte> bytes;
  put_destroy(bytes, socket, 42);
  ASSERT_EQ(bytes.size(), sizeof(nlmsghdr) + sizeof(inet_diag_req_v2));
  nlmsghdr header{};
  inet_diag_req_v2 request{};
  std::memcpy(&header, bytes.data(), sizeof(header));
  std::memcpy(&request, bytes.data() + sizeof(header), sizeof(request));
  EXPECT_EQ(header.nlmsg_type, SOCK_DESTROY);
  EXPECT_EQ(header.nlmsg_flags, NLM_F_REQUEST | NLM_F_ACK);
  EXPECT_EQ(header.nlmsg_seq, 42U);
  EXPECT_EQ(request.sdiag_family, AF_INET6);
  EXPECT_EQ(request.sdiag_protocol, 6);
  EXPECT_EQ(ntohs(request.id.idiag_sport), 443);
  EXPECT_EQ(ntohs(request.id.idiag_dport), 50000);
  EXPECT_EQ(request.id.idiag_if, 3U);
  EXPECT_EQ(request.id.idiag_cookie[0], 0x11223344U);
  EXPECT_EQ(request.id.idiag_cookie[1], 0xAABBCCDDU);
  EXPECT_EQ(std::memcmp(request.id.idiag_src, socket.addresses.local.address.data(), 16), 0);
}

TEST(DiagMessage, AnswersKeepTheirNumberAndError) {
  std::vector<std::byte> bytes;
  nlmsgerr error{};
  append(bytes, NLMSG_ERROR, error, nullptr, 1);
  error.error = -ENOENT;
  append(bytes, NLMSG_ERROR, error, nullptr, 2);
  const Replies replies = parsed(bytes);
  ASSERT_EQ(replies.acknowledgements.size(), 2U);
  EXPECT_EQ(replies.acknowledgements[0].os_errno, 0);
  EXPECT_EQ(replies.acknowledgements[1].sequence, 2U);
  EXPECT_EQ(replies.acknowledgements[1].os_errno, ENOENT);
}

TEST(DiagMessage, ShortAnswersAreCounted) {
  std::vector<std::byte> bytes;
  append(bytes, SOCK_DIAG_BY_FAMILY, std::uint32_t{2});
  append(bytes, NLMSG_ERROR, std::uint16_t{1});
  const Replies replies = parsed(bytes);
  EXPECT_TRUE(replies.sockets.empty());
  EXPECT_TRUE(replies.acknowledgements.empty());
  EXPECT_EQ(replies.malformed, 2U);
}

TEST(DiagMessage, EveryCutIsSurvived) {
  std::vector<std::byte> whole;
  append(whole, SOCK_DIAG_BY_FAMILY, message_of(tcp(5, TcpState::kEstablished)), "mptcp");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const Replies replies = parsed(std::span(whole).first(length));
    EXPECT_TRUE(replies.sockets.empty());
    EXPECT_EQ(replies.malformed, length == 0 ? 0U : 1U);
  }
}

TEST(DiagMessage, NoiseIsSurvived) {
  std::mt19937 random(1);
  std::vector<std::byte> whole;
  append(whole, SOCK_DIAG_BY_FAMILY, message_of(tcp(5, TcpState::kEstablished)), "mptcp");
  append(whole, NLMSG_ERROR, nlmsgerr{});
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::byte> bytes = whole;
    for (int change = 0; change < 4; ++change) bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    const Replies replies = parsed(bytes);
    for (const SocketFacts& socket : replies.sockets) EXPECT_LE(static_cast<int>(socket.state), 12);
  }
}

}  // namespace
}  // namespace sockleak::act
