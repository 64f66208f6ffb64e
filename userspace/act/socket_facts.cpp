#include "act/socket_facts.hpp"

namespace sockleak::act {

bool is_listener(const SocketFacts& socket) {
  const Protocol protocol = socket.addresses.protocol;
  return socket.state == TcpState::kListen && protocol != Protocol::kUdp && protocol != Protocol::kRaw;
}

bool is_held(const SocketFacts& socket) {
  return socket.cause == Cause::kNone || socket.cause == Cause::kZombieLeader || socket.cause == Cause::kUnsharedFiles;
}

const char* cause_word(const SocketFacts& socket) {
  if (is_listener(socket)) return "listener";
  if (socket.mptcp) return to_string(Cause::kMptcpSubflow);
  return is_held(socket) ? "held" : sockleak::to_string(socket.cause);
}

std::string to_string(const SocketFacts& socket) {
  std::string text = to_string(socket.addresses.protocol) + (" " + to_string(socket.addresses.local));
  if (socket.addresses.remote.port != 0) text += " -> " + to_string(socket.addresses.remote);
  return text;
}

}  // namespace sockleak::act
