#include "app/holder_records.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_set>

#include "abi/wire.h"
#include "scan/cause.hpp"

namespace sockleak {
namespace {

template <std::size_t kSize>
void put_text(char (&to)[kSize], const std::string& from) {
  std::memcpy(to, from.data(), std::min(from.size(), kSize - 1));
}

class Teller {
 public:
  Teller(KernelTime now, RecordSink& sink) : now_(now), sink_(sink) {}

  void holder(const ScanSocket& socket, const ScanHolder& holder) {
    sl_snapshot_holder wire{};
    wire.header.tgid = holder.pid.value;
    wire.header.tid = holder.tid.value;
    wire.header.start_ns = holder.start_ns;
    wire.cookie = socket.cookie.value;
    wire.inode = socket.inode;
    wire.rx_bytes = socket.rx_bytes;
    wire.tx_bytes = socket.tx_bytes;
    wire.netns = socket.netns.value;
    wire.fd = holder.place.value;
    wire.state = static_cast<std::uint8_t>(socket.state);
    wire.via = static_cast<std::uint8_t>(holder.via);
    put_text(wire.comm, holder.comm);
    send(SL_SNAPSHOT_HOLDER, wire);
  }

  void cause(const ScanSocket& socket) {
    sl_snapshot_cause wire{};
    wire.cookie = socket.cookie.value;
    wire.waiting = socket.ack_backlog;
    wire.backlog = socket.max_ack_backlog;
    wire.cause = static_cast<std::uint8_t>(socket.cause);
    wire.ownerless = counts_as_ownerless(socket) ? 1 : 0;
    put_text(wire.evidence, socket.evidence);
    send(SL_SNAPSHOT_CAUSE, wire);
  }

  void limit(const DescriptorUse& use) {
    sl_snapshot_limit wire{};
    wire.header.tgid = use.pid.value;
    wire.header.tid = use.pid.value;
    wire.used = use.used;
    wire.limit = use.limit;
    put_text(wire.comm, use.comm);
    send(SL_SNAPSHOT_LIMIT, wire);
  }

 private:
  template <typename Wire>
  void send(std::uint16_t type, Wire& wire) {
    wire.header.size = sizeof(wire);
    wire.header.type = type;
    wire.header.ktime_ns = now_.ns;
    sink_.on_record(std::as_bytes(std::span(&wire, 1)));
  }

  KernelTime now_;
  RecordSink& sink_;
};

[[nodiscard]] std::unordered_set<Pid> holders_of_tracked(const Tracker& tracker) {
  std::unordered_set<Pid> pids;
  for (const auto& [id, socket] : tracker.sockets()) {
    for (const Holder& holder : socket.holders) pids.insert(holder.process.pid);
  }
  return pids;
}

}  // namespace

std::vector<SocketId> doubtful_sockets(const Snapshot& look, const Tracker& tracker) {
  std::vector<SocketId> doubtful;
  for (const ScanSocket& socket : look.sockets) {
    if (socket.mini) continue;
    // A close in progress can be taken for a holder out of sight, too.
    const bool doubted = needs_confirmation(socket.cause) || socket.cause == Cause::kHidden;
    if (doubted && tracker.sockets().contains(socket.cookie)) doubtful.push_back(socket.cookie);
  }
  return doubtful;
}

void tell_holders(const Snapshot& look, const Tracker& tracker, KernelTime now, RecordSink& sink) {
  Teller teller(now, sink);
  const std::unordered_set<Pid> pids = holders_of_tracked(tracker);
  for (const ScanSocket& socket : look.sockets) {
    // A TIME_WAIT entry has its socket's cookie.
    if (socket.mini || !tracker.sockets().contains(socket.cookie)) continue;
    for (const ScanHolder& holder : socket.holders) {
      if (holder.via != Via::kDescriptor) teller.holder(socket, holder);
    }
    if (socket.cause != Cause::kNone || socket.ack_backlog != 0) teller.cause(socket);
  }
  for (const DescriptorUse& use : look.descriptors) {
    if (pids.contains(use.pid)) teller.limit(use);
  }
}

}  // namespace sockleak
