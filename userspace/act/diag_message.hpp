// sock_diag messages as bytes (linux/sock_diag.h, linux/inet_diag.h): what we ask the kernel, what it answers. Pure;
// an answer that is cut or makes no sense is counted, never believed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "act/socket_facts.hpp"

namespace sockleak::act {

/// Large enough for any one request.
inline constexpr std::size_t kRequestBytes = 128;

/// Appends a request for every socket of a family and protocol, whatever its state.
void put_dump(std::vector<std::byte>& out, Family family, Protocol protocol, std::uint32_t sequence);

/// Appends SOCK_DESTROY of exactly this socket: the kernel finds a socket by its addresses and refuses (ENOENT) if its
/// cookie is another. Not for sockets without a cookie: the all-ones and all-zeros cookies mean "any" or nobody.
void put_destroy(std::vector<std::byte>& out, const SocketFacts& socket, std::uint32_t sequence);

struct Acknowledgement {
  std::uint32_t sequence = 0;
  int os_errno = 0;  // 0 = done
};

struct Replies {
  std::vector<SocketFacts> sockets;  // netns is left to the caller
  std::vector<Acknowledgement> acknowledgements;
  bool end = false;          // of a dump
  bool interrupted = false;  // NLM_F_DUMP_INTR: the table changed meanwhile in a way that may hide sockets
  std::size_t malformed = 0;
};

/// One datagram of answers. `protocol`: what was asked for; inet_diag_msg does not say it.
void parse_replies(std::span<const std::byte> datagram, Protocol protocol, Replies& into);

}  // namespace sockleak::act
