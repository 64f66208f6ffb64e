#include "app/destroy_facts.hpp"

#include <unordered_map>

namespace sockleak {
namespace {

[[nodiscard]] std::vector<act::SocketHolder> holders_of(const ScanSocket& socket) {
  std::vector<act::SocketHolder> holders;
  holders.reserve(socket.holders.size());
  for (const ScanHolder& holder : socket.holders) {
    holders.push_back({holder.via, holder.pid, holder.tid, holder.place, holder.comm});
  }
  return holders;
}

}  // namespace

std::vector<act::SocketFacts> facts_of(const Snapshot& snapshot, const std::vector<std::size_t>& indices) {
  std::unordered_map<SocketId, const ScanSocket*> listeners;
  for (const ScanSocket& socket : snapshot.sockets) {
    if (socket.state == TcpState::kListen) listeners.emplace(socket.cookie, &socket);
  }
  std::vector<act::SocketFacts> out;
  out.reserve(indices.size());
  for (const std::size_t index : indices) {
    const ScanSocket& socket = snapshot.sockets[index];
    const bool subflow = socket.mptcp && socket.addresses.protocol == Protocol::kTcp;
    const auto listener = listeners.find(socket.listener);
    const bool waits = socket.cause == Cause::kAcceptQueue && listener != listeners.end();
    out.push_back({socket.cookie, socket.netns, socket.addresses, socket.state, socket.interface, socket.inode, subflow,
                   socket.cause, holders_of(waits ? *listener->second : socket)});
  }
  return out;
}

}  // namespace sockleak
