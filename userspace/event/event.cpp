// Names of what the kernel numbers, and addresses as text.
#include "event/event.hpp"

#include <arpa/inet.h>

namespace sockleak {

const char* to_string(TcpState state) {
  switch (state) {
    case TcpState::kUnknown:
      return "UNKNOWN";
    case TcpState::kEstablished:
      return "ESTABLISHED";
    case TcpState::kSynSent:
      return "SYN_SENT";
    case TcpState::kSynRecv:
      return "SYN_RECV";
    case TcpState::kFinWait1:
      return "FIN_WAIT1";
    case TcpState::kFinWait2:
      return "FIN_WAIT2";
    case TcpState::kTimeWait:
      return "TIME_WAIT";
    case TcpState::kClose:
      return "CLOSE";
    case TcpState::kCloseWait:
      return "CLOSE_WAIT";
    case TcpState::kLastAck:
      return "LAST_ACK";
    case TcpState::kListen:
      return "LISTEN";
    case TcpState::kClosing:
      return "CLOSING";
    case TcpState::kNewSynRecv:
      return "NEW_SYN_RECV";
  }
  return "UNKNOWN";
}

const char* to_string(Protocol protocol) {
  switch (protocol) {
    case Protocol::kNone:
      return "none";
    case Protocol::kIcmp:
      return "icmp";
    case Protocol::kTcp:
      return "tcp";
    case Protocol::kUdp:
      return "udp";
    case Protocol::kSctp:
      return "sctp";
    case Protocol::kUnix:
      return "unix";
    case Protocol::kMptcp:
      return "mptcp";
    case Protocol::kRaw:
      return "raw";
  }
  return "none";
}

const char* to_string(SocketType type) {
  switch (type) {
    case SocketType::kUnknown:
      return "";
    case SocketType::kStream:
      return "stream";
    case SocketType::kDatagram:
      return "dgram";
    case SocketType::kRaw:
      return "raw";
    case SocketType::kSeqpacket:
      return "seqpacket";
  }
  return "";
}

const char* to_string(CloseHow how) {
  switch (how) {
    case CloseHow::kCall:
      return "close";
    case CloseHow::kExit:
      return "exit";
    case CloseHow::kExec:
      return "exec";
    case CloseHow::kAsync:
      return "async";
    case CloseHow::kUnseen:
      return "unseen";
  }
  return "async";
}

std::string address_text(const Endpoint& endpoint) {
  if (endpoint.family != Family::kInet && endpoint.family != Family::kInet6) return {};
  std::array<char, INET6_ADDRSTRLEN> text{};
  const int family = endpoint.family == Family::kInet ? AF_INET : AF_INET6;
  if (::inet_ntop(family, endpoint.address.data(), text.data(), text.size()) == nullptr) return {};
  return text.data();
}

std::string to_string(const Endpoint& endpoint) {
  std::string address = address_text(endpoint);
  if (address.empty()) return {};
  if (endpoint.family == Family::kInet6) address = '[' + address + ']';
  return address + ':' + std::to_string(endpoint.port);
}

}  // namespace sockleak
