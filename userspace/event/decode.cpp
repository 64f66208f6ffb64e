// One overload of to_event() per wire struct. Values outside an enumeration become the most cautious member: a record
// from a newer kernel must not turn into an accusation.
#include "event/decode.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <limits>
#include <string>
#include <type_traits>

#include "abi/wire.h"
#include "event/decode_facts.hpp"

namespace sockleak {
namespace {

// Numbers of the kernel's ABI (linux/socket.h, linux/in.h) that the tuple carries.
constexpr std::uint16_t kAfUnix = 1;
constexpr std::uint16_t kAfInet = 2;
constexpr std::uint16_t kAfInet6 = 10;
constexpr std::uint8_t kSockRaw = 3;
constexpr std::uint8_t kIpprotoIcmpV6 = 58;

/// A clock beyond 292 years is damage; inside the signed range differences of times cannot overflow.
[[nodiscard]] KernelTime time_of(std::uint64_t ns) {
  constexpr std::uint64_t kLatest = std::numeric_limits<std::int64_t>::max();
  return KernelTime{std::min<std::uint64_t>(ns, kLatest)};
}

[[nodiscard]] KernelTime time_of(const sl_header& header) {
  return time_of(std::uint64_t{header.ktime_ns});
}

[[nodiscard]] ProcessId process_of(const sl_header& header) {
  return {Pid{header.tgid}, header.start_ns};
}

[[nodiscard]] Task task_of(const sl_header& header) {
  return {process_of(header), Pid{header.tid}};
}

/// comm is filled by bpf_get_current_comm: usually, not necessarily, NUL-terminated.
template <std::size_t kSize>
[[nodiscard]] std::string text_of(const char (&text)[kSize]) {
  return {text, std::find(std::begin(text), std::end(text), '\0')};
}

[[nodiscard]] WalkEnd walk_end_of(std::uint32_t end) {
  return end <= SL_WALK_NO_SPACE ? static_cast<WalkEnd>(end) : WalkEnd::kNone;
}

[[nodiscard]] TcpState state_of(std::uint8_t state) {
  return state <= static_cast<std::uint8_t>(TcpState::kNewSynRecv) ? static_cast<TcpState>(state) : TcpState::kUnknown;
}

[[nodiscard]] CloseHow how_of(std::uint8_t how) {
  return how >= SL_CLOSE_CALL && how <= SL_CLOSE_UNSEEN ? static_cast<CloseHow>(how) : CloseHow::kAsync;
}

/// Before version 3 descriptors were the only holders, and said nothing.
[[nodiscard]] Via via_of(std::uint8_t via) {
  return via >= SL_VIA_FD && via <= SL_VIA_SLEEPER ? static_cast<Via>(via) : Via::kDescriptor;
}

[[nodiscard]] Cause cause_of(std::uint8_t cause) {
  return cause <= SL_CAUSE_UNKNOWN ? static_cast<Cause>(cause) : Cause::kUnknown;
}

[[nodiscard]] Family family_of(std::uint16_t family) {
  switch (family) {
    case kAfUnix:
      return Family::kUnix;
    case kAfInet:
      return Family::kInet;
    case kAfInet6:
      return Family::kInet6;
    default:
      return Family::kUnspecified;
  }
}

/// The protocol number means something in the internet families only: socket(AF_UNIX, type, 1) is no ICMP socket.
/// A raw socket's number is the protocol it sniffs, not the one it speaks.
[[nodiscard]] Protocol protocol_of(const sl_tuple& tuple) {
  if (tuple.family == kAfUnix) return Protocol::kUnix;
  if (tuple.family != kAfInet && tuple.family != kAfInet6) return Protocol::kNone;
  if (tuple.protocol == kIpprotoIcmpV6) return Protocol::kIcmp;
  const auto protocol = static_cast<Protocol>(tuple.protocol);
  if (protocol == Protocol::kIcmp) return protocol;
  if (tuple.type == kSockRaw) return Protocol::kRaw;
  switch (protocol) {
    case Protocol::kTcp:
    case Protocol::kUdp:
    case Protocol::kSctp:
    case Protocol::kMptcp:
    case Protocol::kRaw:
      return protocol;
    default:
      return Protocol::kNone;
  }
}

[[nodiscard]] SocketType type_of(std::uint8_t type) {
  switch (const auto known = static_cast<SocketType>(type)) {
    case SocketType::kStream:
    case SocketType::kDatagram:
    case SocketType::kRaw:
    case SocketType::kSeqpacket:
      return known;
    default:
      return SocketType::kUnknown;
  }
}

[[nodiscard]] Endpoint endpoint_of(Family family, const std::uint8_t (&address)[16], std::uint16_t port) {
  Endpoint endpoint;
  endpoint.family = family;
  // Only the bytes the family uses: what stands behind an IPv4 address must not make equal endpoints differ.
  const std::size_t length = family == Family::kInet ? 4 : family == Family::kInet6 ? 16 : 0;
  std::copy_n(std::begin(address), length, endpoint.address.begin());
  if (length != 0) endpoint.port = port;
  return endpoint;
}

[[nodiscard]] Addresses addresses_of(const sl_tuple& tuple) {
  const Family family = family_of(tuple.family);
  return {endpoint_of(family, tuple.local, tuple.local_port), endpoint_of(family, tuple.remote, tuple.remote_port),
          protocol_of(tuple), type_of(tuple.type)};
}

/// An abstract path begins with a zero byte, any other one ends with the first.
[[nodiscard]] std::string path_of(const char (&path)[SL_UNIX_PATH], std::uint8_t length) {
  std::string text(path, std::min<std::size_t>(length, SL_UNIX_PATH));
  if (text.empty()) return text;
  if (text.front() != '\0') return text.substr(0, text.find('\0'));
  text.front() = '@';
  return text;
}

Event to_event(const sl_socket_created& w) {
  return SocketCreated{.time = time_of(w.header),
                       .task = task_of(w.header),
                       .comm = text_of(w.comm),
                       .socket = SocketId{w.cookie},
                       .stack = StackHash{w.stack},
                       .stack_end = walk_end_of(w.stack_end),
                       .netns = NetnsId{w.netns},
                       .addresses = addresses_of(w.tuple),
                       .in_pair = (w.header.flags & SL_CREATED_IN_PAIR) != 0};
}

Event to_event(const sl_socket_named& w) {
  return SocketNamed{.time = time_of(w.header),
                     .socket = SocketId{w.cookie},
                     .peer = SocketId{w.peer},
                     .path = path_of(w.path, w.length),
                     .peer_path = path_of(w.peer_path, w.peer_length)};
}

Event to_event(const sl_socket_accepted& w) {
  return SocketAccepted{.time = time_of(w.header),
                        .task = task_of(w.header),
                        .comm = text_of(w.comm),
                        .socket = SocketId{w.cookie},
                        .listener = SocketId{w.listener_cookie},
                        .stack = StackHash{w.stack},
                        .stack_end = walk_end_of(w.stack_end),
                        .fd = Fd{w.fd},
                        .netns = NetnsId{w.netns},
                        .addresses = addresses_of(w.tuple)};
}

Event to_event(const sl_state_changed& w) {
  return StateChanged{.time = time_of(w.header),
                      .socket = SocketId{w.cookie},
                      .listener = SocketId{w.listener_cookie},
                      .from = state_of(w.old_state),
                      .to = state_of(w.new_state),
                      .netns = NetnsId{w.netns},
                      .addresses = addresses_of(w.tuple)};
}

Event to_event(const sl_socket_closed& w) {
  return SocketClosed{.time = time_of(w.header),
                      .task = task_of(w.header),
                      .comm = text_of(w.comm),
                      .socket = SocketId{w.cookie},
                      .stack = StackHash{w.stack},
                      .stack_end = walk_end_of(w.stack_end),
                      .how = how_of(w.how),
                      .state = state_of(w.state),
                      .facts = facts_of(w.facts)};
}

Event to_event(const sl_socket_touched& w) {
  const sl_touch& touch = w.touch;
  const auto kind = touch.what <= SL_TOUCH_SEND ? static_cast<TouchKind>(touch.what) : TouchKind::kNone;
  return SocketTouched{.time = time_of(w.header),
                       .socket = SocketId{w.cookie},
                       .touch = {.time = time_of(touch.ktime_ns),
                                 .task = {{Pid{touch.tgid}, touch.start_ns}, Pid{touch.tid}},
                                 .stack = StackHash{touch.stack},
                                 .stack_end = walk_end_of(touch.stack_end),
                                 .kind = kind,
                                 .result = touch.result}};
}

Event to_event(const sl_socket_goroutine& w) {
  return SocketGoroutine{.time = time_of(w.header),
                         .socket = SocketId{w.cookie},
                         .goroutine = w.goroutine,
                         .parent = w.parent,
                         .created_at = StackHash{w.created_at}};
}

Event to_event(const sl_goroutine_ancestors& w) {
  GoroutineAncestors event{.time = time_of(w.header), .socket = SocketId{w.cookie}, .exact = w.exact != 0, .ancestors = {}};
  for (std::size_t i = 0; i < std::min<std::size_t>(w.count, SL_MAX_ANCESTORS); ++i) {
    event.ancestors.push_back({w.ancestors[i].goroutine, StackHash{w.ancestors[i].stack}});
  }
  return event;
}

Event to_event(const sl_socket_waited& w) {
  return SocketWaited{.time = time_of(w.header), .socket = SocketId{w.cookie}, .stack = StackHash{w.stack}};
}

Event to_event(const sl_socket_destroyed& w) {
  return SocketDestroyed{.time = time_of(w.header), .socket = SocketId{w.cookie}};
}

Event to_event(const sl_process_forked& w) {
  return ProcessForked{.time = time_of(w.header),
                       .parent = task_of(w.header),
                       .child = {Pid{w.child_tgid}, w.child_start_ns},
                       .comm = text_of(w.comm),
                       .shares_files = (w.header.flags & SL_FORK_SHARES_FILES) != 0};
}

Event to_event(const sl_process_execed& w) {
  return ProcessExeced{.time = time_of(w.header), .task = task_of(w.header), .comm = text_of(w.comm)};
}

Event to_event(const sl_process_exited& w) {
  return ProcessExited{.time = time_of(w.header), .task = task_of(w.header), .wait_status = w.exit_code};
}

Event to_event(const sl_process_freed& w) {
  return ProcessFreed{.time = time_of(w.header), .process = process_of(w.header)};
}

Event to_event(const sl_descriptor_received& w) {
  return DescriptorReceived{.time = time_of(w.header),
                            .task = task_of(w.header),
                            .socket = SocketId{w.cookie},
                            .fd = Fd{w.fd},
                            .how = w.how == SL_RECEIVED_PIDFD ? Received::kPidfd : Received::kMessage};
}

Event to_event(const sl_snapshot_socket& w) {
  return SnapshotSocket{.time = time_of(w.header),
                        .socket = SocketId{w.cookie},
                        .inode = w.inode,
                        .state = state_of(w.state),
                        .dead = w.dead != 0,
                        .rx_bytes = w.rx_bytes,
                        .tx_bytes = w.tx_bytes,
                        .netns = NetnsId{w.netns},
                        .addresses = addresses_of(w.tuple),
                        .facts = facts_of(w.facts)};
}

Event to_event(const sl_snapshot_holder& w) {
  return SnapshotHolder{.time = time_of(w.header),
                        .task = task_of(w.header),
                        .comm = text_of(w.comm),
                        .fd = Fd{w.fd},
                        .close_on_exec = w.close_on_exec != 0,
                        .socket = SocketId{w.cookie},
                        .listener = SocketId{w.listener_cookie},
                        .inode = w.inode,
                        .state = state_of(w.state),
                        .rx_bytes = w.rx_bytes,
                        .tx_bytes = w.tx_bytes,
                        .netns = NetnsId{w.netns},
                        .addresses = addresses_of(w.tuple),
                        .facts = facts_of(w.facts),
                        .via = via_of(w.via)};
}

Event to_event(const sl_snapshot_cause& w) {
  return SnapshotCause{.time = time_of(w.header),
                       .socket = SocketId{w.cookie},
                       .cause = cause_of(w.cause),
                       .ownerless = w.ownerless != 0,
                       .evidence = text_of(w.evidence),
                       .waiting = w.waiting,
                       .backlog = w.backlog};
}

Event to_event(const sl_snapshot_thread& w) {
  return SnapshotThread{.time = time_of(w.header), .task = task_of(w.header), .lives = (w.header.flags & SL_THREAD_LIVES) != 0};
}

Event to_event(const sl_snapshot_limit& w) {
  return SnapshotLimit{.time = time_of(w.header), .pid = Pid{w.header.tgid}, .comm = text_of(w.comm), .used = w.used, .limit = w.limit};
}

/// Marks are shared by two record types each.
Event to_event(const sl_snapshot_mark& w) {
  if (w.header.type == SL_SNAPSHOT_BEGIN) return SnapshotBegan{.time = time_of(w.header)};
  return SnapshotEnded{.time = time_of(w.header), .complete = w.complete != 0};
}

Event to_event(const sl_session_mark& w) {
  if (w.header.type == SL_SESSION_BEGIN) return SessionBegan{.time = time_of(w.header)};
  return CommandEnded{.time = time_of(w.header), .task = task_of(w.header), .wait_status = w.status};
}

/// Records may be unaligned in a file: always through a copy. A longer record is a newer version's; its prefix holds.
/// Those that grew are taken as they were before, with zeros for the rest.
template <typename Wire>
Decoded read(std::span<const std::byte> record, std::size_t at_least = sizeof(Wire)) {
  static_assert(std::is_trivially_copyable_v<Wire>);
  if (record.size() < at_least) return DecodeDefect::kTooShort;
  Wire wire{};
  std::memcpy(&wire, record.data(), record.size() < sizeof(wire) ? at_least : sizeof(wire));
  return to_event(wire);
}

}  // namespace

std::optional<std::uint16_t> record_type(std::span<const std::byte> record) {
  if (record.size() < sizeof(sl_header)) return std::nullopt;
  sl_header header;
  std::memcpy(&header, record.data(), sizeof(header));
  return header.type;
}

Decoded decode(std::span<const std::byte> record) {
  if (record.size() < sizeof(sl_header)) return DecodeDefect::kTooShort;
  sl_header header;
  std::memcpy(&header, record.data(), sizeof(header));
  if (header.size != record.size()) return DecodeDefect::kWrongSize;
  switch (header.type) {
    case SL_SOCKET_CREATED:
      return read<sl_socket_created>(record);
    case SL_SOCKET_ACCEPTED:
      return read<sl_socket_accepted>(record);
    case SL_STATE_CHANGED:
      return read<sl_state_changed>(record);
    case SL_SOCKET_CLOSED:
      return read<sl_socket_closed>(record, offsetof(sl_socket_closed, facts));
    case SL_SOCKET_TOUCHED:
      return read<sl_socket_touched>(record);
    case SL_SOCKET_GOROUTINE:
      return read<sl_socket_goroutine>(record);
    case SL_GOROUTINE_ANCESTORS:
      return read<sl_goroutine_ancestors>(record);
    case SL_SOCKET_WAITED:
      return read<sl_socket_waited>(record);
    case SL_SOCKET_NAMED:
      return read<sl_socket_named>(record);
    case SL_SOCKET_DESTROYED:
      return read<sl_socket_destroyed>(record);
    case SL_PROCESS_FORKED:
      return read<sl_process_forked>(record);
    case SL_PROCESS_EXECED:
      return read<sl_process_execed>(record);
    case SL_PROCESS_EXITED:
      return read<sl_process_exited>(record);
    case SL_PROCESS_FREED:
      return read<sl_process_freed>(record);
    case SL_DESCRIPTOR_RECEIVED:
      return read<sl_descriptor_received>(record);
    case SL_SNAPSHOT_SOCKET:
      return read<sl_snapshot_socket>(record, offsetof(sl_snapshot_socket, facts));
    case SL_SNAPSHOT_HOLDER:
      return read<sl_snapshot_holder>(record, offsetof(sl_snapshot_holder, facts));
    case SL_SNAPSHOT_CAUSE:
      return read<sl_snapshot_cause>(record);
    case SL_SNAPSHOT_THREAD:
      return read<sl_snapshot_thread>(record);
    case SL_SNAPSHOT_LIMIT:
      return read<sl_snapshot_limit>(record);
    case SL_SNAPSHOT_BEGIN:
    case SL_SNAPSHOT_END:
      return read<sl_snapshot_mark>(record);
    case SL_SESSION_BEGIN:
    case SL_COMMAND_ENDED:
      return read<sl_session_mark>(record);
    default:
      return DecodeDefect::kUnknownType;
  }
}

}  // namespace sockleak
