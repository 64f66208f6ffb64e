// The kernel's records of one look (bpf/abi/scan_wire.h) -> Snapshot. Only kernel_walk uses it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/big_vector.hpp"
#include "event/decode_facts.hpp"
#include "scan/snapshot.hpp"
#include "scan/socket_index.hpp"

extern "C" {
#include "abi/scan_wire.h"
}

namespace sockleak {

using Record = std::span<const std::byte>;

template <typename T>
[[nodiscard]] std::optional<T> as(Record record) {
  if (record.size() != sizeof(T)) return {};
  T out{};
  std::memcpy(&out, record.data(), sizeof(T));
  return out;
}

[[nodiscard]] inline std::string comm_of(const char (&comm)[SL_COMM_LEN]) { return {comm, strnlen(comm, sizeof(comm))}; }

[[nodiscard]] inline Endpoint endpoint(const sl_tuple& tuple, bool local) {
  Endpoint out;
  out.family = static_cast<Family>(tuple.family);
  std::copy_n(local ? tuple.local : tuple.remote, 16, out.address.begin());
  out.port = local ? tuple.local_port : tuple.remote_port;
  return out;
}

/// Builds a snapshot from records in whatever order they come.
class Assembly {
 public:
  /// `expected`: about so many sockets. `hz`: jiffies per second.
  Assembly(std::size_t expected, double hz) : hz_(hz), index_(expected + 1024) {
    reserve_big(snapshot.sockets, expected + expected / 8 + 1024);
    reserve_big(holders_, expected + 1024);
  }

  void add(Record record) {
    sl_scan_header header{};
    std::memcpy(&header, record.data(), sizeof(header));
    if (header.type == SL_SCAN_SOCKET) {
      if (const auto socket = as<sl_scan_socket>(record)) add_socket(*socket);
    } else if (header.type == SL_SCAN_HOLDER) {
      if (const auto holder = as<sl_scan_holder>(record)) holders_.push_back(*holder);
    } else if (header.type == SL_SCAN_TASK) {
      if (const auto task = as<sl_scan_task>(record)) add_task(*task);
    }
  }

  void distribute_holders() {
    for (const sl_scan_holder& holder : holders_) {
      std::vector<ScanHolder>* const known = holders_of(holder);
      if (known == nullptr) continue;  // born during the walk
      ScanHolder out{static_cast<Via>(holder.via), Pid{holder.tgid}, Pid{holder.tid}, Fd{holder.fd},
                     holder.close_on_exec != 0,    holder.leader_ended != 0, comm_of(holder.comm), holder.container,
                     holder.start_ns};
      std::vector<ScanHolder>& holders = *known;
      if (holder.via == SL_VIA_IN_FLIGHT) name_receiver(holder.container, out);
      // Threads with a table of their own are reported one by one; the same table twice is the same descriptor.
      const auto same = [&](const ScanHolder& other) {
        return other.via == out.via && other.pid == out.pid && other.table == out.table && other.place == out.place;
      };
      if (std::none_of(holders.begin(), holders.end(), same)) holders.push_back(std::move(out));
    }
    holders_.clear();
  }

  [[nodiscard]] std::uint64_t records() const { return snapshot.sockets.size() + holders_.size(); }

  Snapshot snapshot;

 private:
  // Both: an accepted MPTCP socket has its listener's cookie (net/mptcp/protocol.c), and the memory of a socket that
  // ended during the walk may be another's by now.
  static std::uint64_t key(std::uint64_t cookie, std::uint64_t socket) {
    return cookie * 0x9E3779B97F4A7C15U ^ socket;
  }

  Duration time(std::uint32_t jiffies) const {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(static_cast<double>(jiffies) / hz_));
  }

  void add_socket(const sl_scan_socket& in) {
    if (!index_.insert(key(in.cookie, in.socket), snapshot.sockets.size())) return;
    ScanSocket& out = snapshot.sockets.emplace_back();
    out.cookie = SocketId{in.cookie};
    out.identity = in.socket;
    out.inode = in.inode;
    out.state = static_cast<TcpState>(in.state <= 12 ? in.state : 0);
    out.substate = static_cast<TcpState>(in.substate <= 12 ? in.substate : 0);
    out.addresses = {endpoint(in.tuple, true), endpoint(in.tuple, false), static_cast<Protocol>(in.tuple.protocol)};
    out.netns = NetnsId{in.netns};
    out.uid = in.uid;
    out.interface = in.interface;
    const auto fact = [&](unsigned bit) { return (in.facts & bit) != 0; };
    out.has_socket = fact(SL_FACT_HAS_SOCKET);
    out.has_file = fact(SL_FACT_HAS_FILE);
    out.dead = fact(SL_FACT_DEAD);
    out.kernel = fact(SL_FACT_KERNEL);
    out.mptcp = fact(SL_FACT_MPTCP);
    out.has_port = fact(SL_FACT_BUCKET);
    out.blocks_port = fact(SL_FACT_BOUND);
    out.mini = fact(SL_FACT_MINI);
    out.awaited = (in.marks & SL_MARK_AWAITED) != 0;
    if (out.addresses.protocol == Protocol::kTcp && !out.mini && out.state != TcpState::kListen) {
      const std::uint32_t last_peer = std::min(in.since_receive, in.since_ack);
      out.idle = time(std::min(in.since_receive, in.since_send));
      out.since_peer = time(last_peer);
    }
    if (out.state == TcpState::kTimeWait) {
      // A timer that is just due may read as slightly negative.
      out.time_wait_left = static_cast<std::int32_t>(in.timer) < 0 ? Duration::zero() : time(in.timer);
      out.timestamps = (in.marks & SL_MARK_TIMESTAMPS) != 0;
    }
    out.ack_backlog = in.ack_backlog;
    out.max_ack_backlog = in.max_ack_backlog;
    out.receive_queue = in.receive_queue;
    out.queue_known = !out.mini;
    out.waiter = waiter_of(in.waiter);
    out.send_queue = in.send_queue;
    out.rx_bytes = in.rx_bytes;
    out.tx_bytes = in.tx_bytes;
    out.file_references = in.file_references;
    out.credentials = in.credentials;
    out.ring_sleeper = in.ring_waiter;
    for (const std::uint64_t waiter : in.waiters) {
      if (waiter != 0) out.sleepers.push_back(waiter);
    }
  }

  /// Of the socket that this is one of.
  std::vector<ScanHolder>* holders_of(const sl_scan_holder& holder) {
    if (holder.family == 0) {
      const auto at = index_.find(key(holder.cookie, holder.socket));
      return at ? &snapshot.sockets[*at].holders : nullptr;
    }
    const auto [at, is_new] = others_.try_emplace(holder.socket, snapshot.others.size());
    if (is_new) snapshot.others.push_back({holder.family, SocketId{holder.cookie}, {}});
    return &snapshot.others[at->second].holders;
  }

  void add_task(const sl_scan_task& in) {
    ScanTask& out = snapshot.tasks.emplace_back();
    out.identity = in.task;
    out.credentials = in.credentials;
    out.files = in.files;
    out.descriptor_limit = in.descriptor_limit;
    out.most_descriptors = in.most_descriptors;
    out.start_ns = in.start_ns;
    out.pid = Pid{in.tgid};
    out.tid = Pid{in.tid};
    out.exiting = in.exiting != 0;
    out.ended = in.ended != 0;
    out.executed = in.executed != 0;
    out.comm = comm_of(in.comm);
  }

  /// Whoever holds the unix socket in whose queue the message waits.
  void name_receiver(std::uint64_t unix_cookie, ScanHolder& out) const {
    for (const sl_scan_holder& holder : holders_) {
      if (holder.via != SL_VIA_FD || holder.cookie != unix_cookie) continue;
      out.pid = Pid{holder.tgid};
      out.tid = Pid{holder.tid};
      out.comm = comm_of(holder.comm);
      out.start_ns = holder.start_ns;
      out.place = Fd{holder.fd};
      return;
    }
    out.place = Fd{-1};
  }

  double hz_;
  SocketIndex index_;
  std::vector<sl_scan_holder> holders_;
  std::unordered_map<std::uint64_t, std::size_t> others_;  // socket -> place in snapshot.others
};

}  // namespace sockleak
