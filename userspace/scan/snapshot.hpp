// One look at every socket of the machine, as values: what the collectors (kernel_walk, diag_walk) fill, cause.hpp
// judges, ports.hpp measures and the writers print. Single thread; nothing here knows where it came from.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/time.hpp"
#include "event/cause.hpp"
#include "event/event.hpp"
#include "filter/filter.hpp"

namespace sockleak {

/// Whatever keeps the socket's file open.
struct ScanHolder {
  Via via = Via::kDescriptor;
  Pid pid;  // 0 = nobody in particular
  Pid tid;
  Fd place;  // descriptor, slot or place in a message; -1 = none
  bool close_on_exec = false;
  bool leader_ended = false;
  std::string comm;
  std::uint64_t table = 0;  // identity of the descriptor table, ring or unix socket
  std::uint64_t start_ns = 0;  // of the process, boot-time; 0 = unknown
  friend bool operator==(const ScanHolder&, const ScanHolder&) = default;
};

struct ScanSocket {
  SocketId cookie;
  std::uint64_t identity = 0;  // within one snapshot
  std::uint64_t inode = 0;
  TcpState state = TcpState::kUnknown;
  TcpState substate = TcpState::kUnknown;  // what a TIME_WAIT entry stands for
  Addresses addresses;
  NetnsId netns;
  std::uint32_t uid = 0;
  std::uint32_t interface = 0;  // it is bound to; 0 = none

  bool has_socket = false;  // sk_socket is set
  bool has_file = false;
  bool dead = false;        // SOCK_DEAD
  bool kernel = false;      // sk_kern_sock
  bool mptcp = false;       // a subflow
  bool has_port = false;    // it occupies its local port
  bool blocks_port = false;  // it, or another user of the port, came through bind() or listen()
  bool mini = false;        // TIME_WAIT or a connection request: no socket in the full sense

  bool awaited = false;     // somebody waits for what happens to it

  std::optional<Duration> idle;        // no data was sent or received for so long
  std::optional<Duration> since_peer;  // CLOSE_WAIT: since the peer was last heard: its FIN came at least so long ago
  std::optional<Duration> time_wait_left;
  bool timestamps = true;  // TIME_WAIT: entered with TCP timestamps
  std::uint32_t ack_backlog = 0, max_ack_backlog = 0;
  std::uint32_t receive_queue = 0, send_queue = 0;  // bytes; the peer's end counts as one
  bool queue_known = false;
  Waiter waiter = Waiter::kUnknown;
  std::uint64_t rx_bytes = 0, tx_bytes = 0;

  std::vector<ScanHolder> holders;
  std::uint64_t file_references = 0;
  std::uint64_t credentials = 0;
  std::vector<std::uint64_t> sleepers;  // tasks
  std::uint64_t ring_sleeper = 0;

  // Filled by find_causes().
  Cause cause = Cause::kNone;
  std::optional<bool> ownerless;
  std::string evidence;
  SocketId listener;  // in whose accept queue it waits
};

/// A socket of a family that is not judged: only who holds it is known.
struct OtherSocket {
  std::uint16_t family = 0;
  SocketId cookie;  // 0 = nobody has asked for it
  std::vector<ScanHolder> holders;
};

struct ScanTask {
  std::uint64_t identity = 0;
  std::uint64_t credentials = 0;
  std::uint64_t files = 0;
  std::uint64_t descriptor_limit = 0;
  std::uint64_t start_ns = 0;  // of the process, boot-time
  std::uint32_t most_descriptors = 0;
  Pid pid, tid;
  bool exiting = false, ended = false;
  bool executed = false;  // a program, since it was forked
  std::string comm;
};

/// A process's descriptors against its limit.
struct DescriptorUse {
  Pid pid;
  std::string comm;
  std::uint64_t used = 0, limit = 0;
  [[nodiscard]] double percent() const {
    return limit == 0 ? 0.0 : 100.0 * static_cast<double>(used) / static_cast<double>(limit);
  }
};

struct Setting {
  std::string name;   // "net.ipv4.tcp_tw_reuse"
  std::string value;  // empty = this kernel has none
  std::string in_use;  // how much of it, empty = nothing to count
};

struct NetworkNamespace {
  NetnsId id;
  std::string name;  // "blue" (ip netns), or "orders (812)", who is in it; empty = our own
  bool walked = false;
  std::uint16_t first_port = 32768, last_port = 60999;
  std::vector<std::pair<std::uint16_t, std::uint16_t>> reserved;
  int tw_reuse = 2;
  Duration tw_reuse_delay = std::chrono::seconds(1);
  std::vector<Setting> settings;
};

struct Snapshot {
  bool through_bpf = false;
  double seconds = 0;     // how long it took
  Duration taken{};       // CLOCK_BOOTTIME
  std::vector<ScanSocket> sockets;
  std::vector<OtherSocket> others;
  std::vector<SocketId> inherited;  // inherited_listeners() of two looks in a row
  std::vector<ScanTask> tasks;
  std::vector<DescriptorUse> descriptors;  // most loaded first
  std::vector<NetworkNamespace> namespaces;
  std::vector<std::string> gaps;        // what could not be seen, a sentence each
  std::uint64_t hidden_processes = 0;   // whose descriptors could not be read
  bool every_task = false;              // `tasks` has all of the machine
  bool outer_processes = false;         // some processes, in or outside our pid namespace, cannot be looked at
};

/// Told now and then what is being done; decides itself what to show.
using ScanProgress = std::function<void(const char* stage, std::uint64_t sockets)>;

/// Bytes that wait to be read, without the peer's end; nullopt: not known, or it cannot be read from.
[[nodiscard]] std::optional<std::uint32_t> unread(const ScanSocket& socket);
/// Whether the peer's end was read; nullopt: it has not come, or is not known to.
[[nodiscard]] std::optional<bool> end_read(const ScanSocket& socket);
/// Of a socket in CLOSE_WAIT: for how long.
[[nodiscard]] std::optional<Duration> dwell(const ScanSocket& socket);

/// As filters see it; borrows from `socket`. `cgroup_of` may be empty.
[[nodiscard]] FilterSubject subject_of(const ScanSocket& socket, bool holders_known,
                                       const std::function<std::string_view(Pid)>& cgroup_of);
[[nodiscard]] FilterSubject subject_of(const OtherSocket& socket, bool holders_known,
                                       const std::function<std::string_view(Pid)>& cgroup_of);

}  // namespace sockleak
