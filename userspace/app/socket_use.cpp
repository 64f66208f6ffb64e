#include "app/socket_use.hpp"

#include <algorithm>

namespace sockleak {
namespace {

[[nodiscard]] double seconds_before(KernelTime now, KernelTime then) {
  return std::max(seconds(now - then), 0.0);
}

/// Since when nothing was sent or received, if that is known. One that never carried data idles since it was made; of one from
/// before the attach that is when the peer was last heard, at the latest.
[[nodiscard]] std::optional<KernelTime> idle_since(const SocketRecord& socket, const SocketFacts& facts) {
  const auto known = [](KernelTime time) { return time == KernelTime{} ? std::nullopt : std::optional(time); };
  if (const KernelTime last = last_use(facts); last != KernelTime{}) return last;
  if (socket.addresses.protocol != Protocol::kTcp) return known(facts.uses.since);  // the kernel notes no times
  if (socket.origin == Origin::kBeforeAttach) return known(facts.last_segment);
  return socket.created;
}

}  // namespace

SocketUse use_of(const SocketRecord& socket, const SocketFacts& facts, KernelTime now) {
  SocketUse use{.facts = facts, .idle_s = {}, .dwell_s = {}, .counted_s = 0};
  if (!facts.known) return use;
  if (const auto since = idle_since(socket, facts)) use.idle_s = seconds_before(now, *since);
  if (socket.state == TcpState::kCloseWait) {
    KernelTime since = socket.close_wait_since.value_or(socket.state_since);
    if (facts.last_segment != KernelTime{}) since = std::min(since, facts.last_segment);
    use.dwell_s = seconds_before(now, since);
  }
  if (facts.uses.since != KernelTime{}) use.counted_s = seconds_before(now, facts.uses.since);
  return use;
}

}  // namespace sockleak
