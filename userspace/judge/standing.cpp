#include "judge/standing.hpp"

#include <algorithm>

namespace sockleak {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(20);  // two jiffies of the slowest clock: what was before, what after

[[nodiscard]] bool carried_data(const Life& life) {
  return life.socket->rx_bytes != 0 || life.socket->tx_bytes != 0 || last_use(life.facts).ns != 0;
}

/// It has lain idle for as long before, and was then used again.
[[nodiscard]] bool is_between_uses(const Life& life) {
  return life.facts.uses.bursts > 1 && life.idle() <= life.facts.uses.longest_gap;
}

[[nodiscard]] bool was_connected(const SocketRecord& socket) { return socket.addresses.remote.port != 0; }

/// How long the present state may have lasted before it tells anything.
[[nodiscard]] Duration patience(const Life& life, Duration older) {
  return life.ended && life.how == CloseHow::kExit && !life.end_was_forced ? Duration::zero() : older;
}

[[nodiscard]] Standing after_fin(const Life& life, Duration older) {
  // The duty to close begins with the accept, if that came later; a server may answer long after its client's FIN.
  KernelTime since = std::max(*life.fin, life.born);
  const KernelTime busy = std::max(life.facts.last_sent, life.facts.uses.last);
  if (busy > *life.fin + kTick) since = std::max(since, busy);
  if (life.until - since < patience(life, older)) return Standing::kInUse;
  if (life.facts.end_read.value_or(false)) return Standing::kFinished;
  if (life.facts.waiter == Waiter::kThread || life.facts.waiter == Waiter::kPoll) return Standing::kInUse;
  if (!life.accepted) return Standing::kHungUp;
  return life.facts.unread > 0 ? Standing::kUnserved : Standing::kFinished;
}

[[nodiscard]] Standing of_closed(const Life& life, Duration older) {
  const KernelTime since = std::max(life.socket->state_since, life.born);
  if (life.until - since < patience(life, older)) return Standing::kInUse;
  if (life.socket->holders.empty() && !life.ended) return Standing::kInUse;
  if (!was_connected(*life.socket) && !life.facts.attempted) return Standing::kNeverConnected;
  if (carried_data(life) || life.accepted) return Standing::kBroken;
  return Standing::kRefused;
}

[[nodiscard]] Standing of_tcp(const Life& life, Duration older) {
  switch (life.socket->state) {
    case TcpState::kListen:
      return Standing::kInUse;
    case TcpState::kCloseWait:
      return life.fin ? after_fin(life, older) : Standing::kInUse;
    case TcpState::kClose:
      return of_closed(life, older);
    case TcpState::kSynSent:
      // Nobody tells when it began: connect() mostly follows at once.
      if (life.age() < patience(life, older)) return Standing::kInUse;
      return life.facts.waiter == Waiter::kNobody || life.ended ? Standing::kGivenUp : Standing::kInUse;
    default:
      break;
  }
  if (life.facts.unread > 0 && life.idle() >= patience(life, older) && !is_waited_for(life)) {
    return life.accepted ? Standing::kUnserved : Standing::kUnread;
  }
  return is_waited_for(life) || is_between_uses(life) ? Standing::kInUse : Standing::kIdle;
}

[[nodiscard]] Standing of_unix(const Life& life, Duration older) {
  if (life.socket->state == TcpState::kListen || is_waited_for(life) || life.other_end_waits) return Standing::kInUse;
  if (life.facts.end_read && life.idle() >= patience(life, older)) {
    return *life.facts.end_read || life.accepted ? Standing::kFinished : Standing::kHungUp;
  }
  const bool stream = life.socket->addresses.type != SocketType::kDatagram;
  if (stream && life.socket->state == TcpState::kClose && life.socket->origin != Origin::kSocketPair &&
      life.age() >= patience(life, older)) {
    return Standing::kNeverConnected;
  }
  if (life.socket->origin == Origin::kSocketPair) return life.never_used().value_or(true) ? Standing::kIdle : Standing::kInUse;
  if (life.facts.unread > 0 && life.idle() >= patience(life, older) && !life.accepted) return Standing::kUnread;
  return is_between_uses(life) ? Standing::kInUse : Standing::kIdle;
}

}  // namespace

bool is_waited_for(const Life& life) {
  switch (life.facts.waiter) {
    case Waiter::kThread:
    case Waiter::kPoll:
    case Waiter::kRing:
      return true;
    case Waiter::kEpoll:
      return life.accepted;
    default:
      return false;
  }
}

Standing standing_of(const Life& life, Duration older) {
  switch (life.socket->addresses.protocol) {
    case Protocol::kTcp:
    case Protocol::kMptcp:
    case Protocol::kSctp:
      return of_tcp(life, older);
    case Protocol::kUnix:
      return of_unix(life, older);
    default:
      break;
  }
  // Without a peer it takes what anybody sends: it is a listener.
  const bool bound_only = life.socket->addresses.local.port != 0 && !was_connected(*life.socket);
  if (is_waited_for(life) || (bound_only && life.never_used().value_or(false))) return Standing::kInUse;
  return is_between_uses(life) ? Standing::kInUse : Standing::kIdle;
}

bool is_terminal(Standing standing) {
  return standing == Standing::kFinished || standing == Standing::kRefused || standing == Standing::kNeverConnected ||
         standing == Standing::kGivenUp;
}

}  // namespace sockleak
