#include "judge/life.hpp"

#include <sys/wait.h>

#include <algorithm>

#include "track/hand_over.hpp"

namespace sockleak {
namespace {

[[nodiscard]] KernelTime used_by(const SocketRecord& socket, const SocketFacts& facts, const Tracker& tracker) {
  KernelTime used = std::max(socket.created, last_use(facts));
  if (socket.origin == Origin::kBeforeAttach && last_use(facts).ns != 0) used = last_use(facts);
  if (const Tracker::LastTouch* touched = tracker.last_touch(socket.id)) used = std::max(used, touched->touch.time);
  return used;
}

[[nodiscard]] bool came_through_a_listener(const SocketRecord& socket) {
  return socket.origin == Origin::kAccept || socket.listener.value != 0;
}

/// Of one from before we came the birth is not known; the earliest that is known of it was later.
[[nodiscard]] KernelTime born_by(const SocketRecord& socket, const Life& life) {
  if (socket.origin != Origin::kBeforeAttach) return socket.created;
  KernelTime born = std::min(socket.created, life.used);
  if (life.fin) born = std::min(born, *life.fin);
  return born;
}

[[nodiscard]] bool counted_from_birth(const Life& life) {
  const KernelTime since = life.facts.uses.since;
  return since.ns != 0 && since <= life.socket->created + std::chrono::milliseconds(1);
}

/// Who made a pair for a worker keeps its own end for as long as the worker waits in the other one.
[[nodiscard]] bool other_end_waits(const SocketRecord& socket, const Tracker& tracker) {
  const UnixName* name = socket.origin == Origin::kSocketPair ? tracker.unix_name(socket.id) : nullptr;
  const SocketFacts* other = name == nullptr ? nullptr : tracker.facts(name->peer);
  return other != nullptr && other->waiter == Waiter::kThread;
}

}  // namespace

KernelTime Life::last_touched() const {
  return counted_from_birth(*this) && facts.uses.last.ns != 0 ? facts.uses.last : used;
}

std::optional<bool> Life::never_used() const {
  if (socket->rx_bytes != 0 || socket->tx_bytes != 0 || last_use(facts).ns != 0) return false;
  if (counted_from_birth(*this)) return facts.uses.bursts == 0;
  if (facts.known && socket->addresses.protocol == Protocol::kTcp) return true;
  return std::nullopt;
}

Life life_of(const SocketRecord& socket, const Tracker& tracker, KernelTime now) {
  Life life;
  life.socket = &socket;
  if (const SocketFacts* facts = tracker.facts(socket.id)) life.facts = *facts;
  life.used = used_by(socket, life.facts, tracker);
  life.accepted = came_through_a_listener(socket);
  life.other_end_waits = other_end_waits(socket, tracker);
  life.until = now;
  life.fin = fin_of(socket, life.facts);
  life.born = born_by(socket, life);
  return life;
}

Life life_of(const EndedSocket& ended, const Tracker& tracker) {
  Life life;
  life.socket = &ended.record;
  life.facts = ended.facts;
  life.used = used_by(ended.record, life.facts, tracker);
  life.accepted = came_through_a_listener(ended.record);
  life.until = ended.closed;
  life.fin = fin_of(ended.record, life.facts);
  life.born = born_by(ended.record, life);
  life.ended = true;
  life.end_was_forced = !ended_by_itself(owner_of(ended.record), tracker);
  life.how = ended.how;
  life.closed_at = ended.closed_at;
  return life;
}

bool ended_by_itself(const ProcessId& process, const Tracker& tracker) {
  const auto status = tracker.processes().status_of(process);
  if (!status) return false;
  // 128 + a signal's number is what shells, and programs that are asked to end, exit with.
  return WIFEXITED(*status) && WEXITSTATUS(*status) <= 128;
}

}  // namespace sockleak
