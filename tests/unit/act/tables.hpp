// Socket tables made by hand.
#pragma once

#include <arpa/inet.h>

#include <string>

#include "act/socket_facts.hpp"

namespace sockleak::act {

inline Endpoint at(const std::string& address, std::uint16_t port) {
  Endpoint endpoint;
  endpoint.family = address.find(':') == std::string::npos ? Family::kInet : Family::kInet6;
  ::inet_pton(endpoint.family == Family::kInet ? AF_INET : AF_INET6, address.c_str(), endpoint.address.data());
  endpoint.port = port;
  return endpoint;
}

inline SocketFacts tcp(std::uint64_t cookie, TcpState state, Cause cause = Cause::kNone) {
  SocketFacts socket;
  socket.id = SocketId{cookie};
  socket.netns = NetnsId{4026531840};
  socket.addresses = {at("10.0.0.1", 40000), at("10.0.0.9", 5432), Protocol::kTcp};
  socket.state = state;
  socket.inode = 1000 + cookie;
  socket.cause = cause;
  if (cause == Cause::kNone) socket.holders = {{Via::kDescriptor, Pid{812}, Pid{812}, Fd{19}, "orders"}};
  return socket;
}

}  // namespace sockleak::act
