// The causes of kernel.md section 3 that sock_diag and /proc can prove between them.
#include "act/socket_facts.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

namespace sockleak::act {
namespace {

[[nodiscard]] bool is_any(const Endpoint& endpoint) {
  return std::all_of(endpoint.address.begin(), endpoint.address.end(), [](std::uint8_t byte) { return byte == 0; });
}

/// ::ffff:a.b.c.d, as a dual-stack listener's children have it.
[[nodiscard]] bool same_address(const Endpoint& a, const Endpoint& b) {
  if (a.family == b.family) return a.address == b.address;
  const Endpoint& four = a.family == Family::kInet ? a : b;
  const Endpoint& six = a.family == Family::kInet ? b : a;
  constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  return std::equal(kMapped.begin(), kMapped.end(), six.address.begin()) &&
         std::equal(four.address.begin(), four.address.begin() + 4, six.address.begin() + kMapped.size());
}

[[nodiscard]] bool listens_for(const SocketFacts& listener, const SocketFacts& child) {
  const Endpoint& mine = listener.addresses.local;
  if (is_any(mine)) return mine.family == Family::kInet6 || child.addresses.local.family == Family::kInet;
  return same_address(mine, child.addresses.local);
}

using Listeners = std::multimap<std::pair<NetnsId, std::uint16_t>, const SocketFacts*>;

[[nodiscard]] const SocketFacts* listener_of(const SocketFacts& child, const Listeners& listeners) {
  const auto [first, last] = listeners.equal_range({child.netns, child.addresses.local.port});
  for (auto entry = first; entry != last; ++entry) {
    if (entry->second->receive_queue > 0 && listens_for(*entry->second, child)) return entry->second;
  }
  return nullptr;
}

[[nodiscard]] bool is_closing(TcpState state) {
  return state == TcpState::kFinWait1 || state == TcpState::kFinWait2 || state == TcpState::kClosing ||
         state == TcpState::kLastAck;
}

[[nodiscard]] Cause cause_of(const SocketFacts& socket) {
  if (socket.addresses.protocol != Protocol::kTcp) return socket.holders.empty() ? Cause::kUnknown : Cause::kHeld;
  if (socket.state == TcpState::kListen) return Cause::kListener;
  if (socket.state == TcpState::kTimeWait) return Cause::kTimeWait;
  if (socket.state == TcpState::kNewSynRecv) return Cause::kRequest;
  if (socket.mptcp) return Cause::kSubflow;
  if (socket.inode != 0) return socket.holders.empty() ? Cause::kUnknown : Cause::kHeld;
  if (socket.state == TcpState::kSynRecv) return Cause::kRequest;
  return is_closing(socket.state) ? Cause::kOrphan : Cause::kUnknown;
}

}  // namespace

const char* to_string(Cause cause) {
  switch (cause) {
    case Cause::kUnknown:
      return "unknown";
    case Cause::kHeld:
      return "held";
    case Cause::kUnaccepted:
      return "accept-queue";
    case Cause::kOrphan:
      return "orphan";
    case Cause::kListener:
      return "listener";
    case Cause::kTimeWait:
      return "time-wait";
    case Cause::kRequest:
      return "request";
    case Cause::kKernel:
      return "kernel";
    case Cause::kSubflow:
      return "mptcp-subflow";
  }
  return "unknown";
}

std::string to_string(const SocketFacts& socket) {
  std::string text = to_string(socket.addresses.protocol) + (" " + to_string(socket.addresses.local));
  if (socket.addresses.remote.port != 0) text += " -> " + to_string(socket.addresses.remote);
  return text;
}

void explain(std::vector<SocketFacts>& sockets, const SocketHolders& holders) {
  Listeners listeners;
  for (SocketFacts& socket : sockets) {
    socket.holders.clear();
    if (socket.inode != 0) {
      const auto found = holders.by_inode.find(socket.inode);
      if (found != holders.by_inode.end()) socket.holders = found->second;
    }
    socket.cause = cause_of(socket);
    if (socket.cause == Cause::kListener) {
      listeners.emplace(std::pair(socket.netns, socket.addresses.local.port), &socket);
    }
  }
  for (SocketFacts& socket : sockets) {
    if (socket.cause != Cause::kUnknown || socket.inode != 0 || socket.addresses.protocol != Protocol::kTcp) continue;
    if (socket.state != TcpState::kEstablished && socket.state != TcpState::kCloseWait) continue;
    const SocketFacts* listener = listener_of(socket, listeners);
    if (listener == nullptr) continue;
    socket.cause = Cause::kUnaccepted;
    socket.holders = listener->holders;
  }
}

}  // namespace sockleak::act
