#include "track/gone.hpp"

#include "track/hand_over.hpp"

namespace sockleak {

void GoneLog::add(const GoneSocket& socket) {
  if (++skipped_ < weight_) return;
  skipped_ = 0;
  entries_.push_back(socket);
  if (entries_.size() <= kKept) return;
  std::size_t kept = 0;
  for (std::size_t i = 1; i < entries_.size(); i += 2) entries_[kept++] = entries_[i];
  entries_.resize(kept);
  weight_ *= 2;
}

GoneSocket in_short(const EndedSocket& ended, bool at_exit) {
  const SocketRecord& socket = ended.record;
  const Uses& uses = ended.facts.uses;
  return {.id = socket.id, .born = socket.created, .closed = ended.closed, .last_use = last_use(ended.facts),
          .longest_gap = uses.longest_gap, .bursts = uses.bursts, .peer = peer_hash(socket.addresses.remote),
          .creator = socket.creator.tid, .process = owner_of(socket), .before_peer = socket.state == TcpState::kEstablished, .ended = at_exit};
}

std::uint32_t peer_hash(const Endpoint& endpoint) {
  if (endpoint.port == 0) return 0;
  std::uint64_t hash = (std::uint64_t{endpoint.port} << 16) ^ static_cast<std::uint64_t>(endpoint.family);
  for (const std::uint8_t byte : endpoint.address) hash = (hash ^ byte) * 0x100000001B3ULL;
  const auto folded = static_cast<std::uint32_t>(hash ^ (hash >> 32));
  return folded == 0 ? 1 : folded;
}

}  // namespace sockleak
