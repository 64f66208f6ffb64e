// What happened, in user-space words: the value types between decode (bytes -> Event) and track (Event -> state).
// Times are CLOCK_MONOTONIC. Nothing here knows the kernel's layout.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.hpp"
#include "base/time.hpp"
#include "event/cause.hpp"
#include "event/facts.hpp"
#include "stack/stack.hpp"

namespace sockleak {

enum class Family : std::uint16_t { kUnspecified = 0, kUnix = 1, kInet = 2, kInet6 = 10 };

enum class Protocol : std::uint8_t {
  kNone = 0, kIcmp = 1, kTcp = 6, kUdp = 17, kSctp = 132, kUnix = 253, kMptcp = 254, kRaw = 255
};

/// Numbers as in linux/net.h.
enum class SocketType : std::uint8_t { kUnknown = 0, kStream = 1, kDatagram = 2, kRaw = 3, kSeqpacket = 5 };

/// Numbers as in the kernel's include/net/tcp_states.h.
enum class TcpState : std::uint8_t {
  kUnknown = 0, kEstablished = 1, kSynSent, kSynRecv, kFinWait1, kFinWait2, kTimeWait, kClose, kCloseWait, kLastAck,
  kListen, kClosing, kNewSynRecv,
};
[[nodiscard]] const char* to_string(TcpState state);  // "CLOSE_WAIT"
[[nodiscard]] const char* to_string(Protocol protocol);  // "tcp"
[[nodiscard]] const char* to_string(SocketType type);  // "stream"; "" = not known

struct Endpoint {
  Family family = Family::kUnspecified;
  std::array<std::uint8_t, 16> address{};  // network order; IPv4 in the first four bytes
  std::uint16_t port = 0;                  // 0 = none
  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};
/// "10.0.0.9" / "2001:db8::1"; empty family prints "".
[[nodiscard]] std::string address_text(const Endpoint& endpoint);
/// "10.0.0.9:5432" / "[2001:db8::1]:5432".
[[nodiscard]] std::string to_string(const Endpoint& endpoint);

struct Addresses {
  Endpoint local;
  Endpoint remote;
  Protocol protocol = Protocol::kNone;
  SocketType type = SocketType::kUnknown;
};

/// The task that ran when the event happened. Softirq events have pid 0: the task is then meaningless.
struct Task {
  ProcessId process;
  Pid tid;
};

/// kUnseen: a snapshot found it gone; who closed it, where and when is not known.
enum class CloseHow : std::uint8_t { kCall = 1, kExit, kExec, kAsync, kUnseen };
[[nodiscard]] const char* to_string(CloseHow how);  // "close" | "exit" | "exec" | "async" | "unseen"

/// How a process got a descriptor that another one had.
enum class Received : std::uint8_t { kMessage = 1, kPidfd };

struct SessionBegan { KernelTime time; };
struct CommandEnded { KernelTime time; Task task; int wait_status; };

struct SocketCreated {
  KernelTime time; Task task; std::string comm;
  SocketId socket; StackHash stack; WalkEnd stack_end;
  NetnsId netns; Addresses addresses;
  bool in_pair = false;  // by socketpair()
};
struct SocketAccepted {
  KernelTime time; Task task; std::string comm;
  SocketId socket; SocketId listener; StackHash stack; WalkEnd stack_end;
  Fd fd; NetnsId netns; Addresses addresses;
};
struct StateChanged {
  KernelTime time; SocketId socket; SocketId listener;  // listener: set on an unaccepted child
  TcpState from; TcpState to;
  NetnsId netns; Addresses addresses;
};
struct SocketClosed {
  KernelTime time; Task task; std::string comm;
  SocketId socket; StackHash stack; WalkEnd stack_end; CloseHow how; TcpState state;
  SocketFacts facts = {};  // as the close found it
};
enum class TouchKind : std::uint8_t { kNone = 0, kReceive, kSend };
/// Somebody read from or wrote to the socket, and nobody did later. `result`: bytes, 0 at the peer's end, or -errno.
struct Touch {
  KernelTime time; Task task; StackHash stack; WalkEnd stack_end; TouchKind kind; int result;
};
struct SocketTouched { KernelTime time; SocketId socket; Touch touch; };

/// Go: the goroutine that created or accepted the socket. `created_at`: the `go` statement alone, as a stack.
struct SocketGoroutine {
  KernelTime time; SocketId socket; std::uint64_t goroutine; std::uint64_t parent; StackHash created_at;
};
/// The parent of that goroutine, the parent's parent and so on. `exact`: where they were at their `go` statements;
/// otherwise where they were a moment after the socket was made.
struct GoroutineAncestors {
  struct Ancestor { std::uint64_t goroutine; StackHash stack; };
  KernelTime time; SocketId socket; bool exact; std::vector<Ancestor> ancestors;
};

/// Go, when the end of its process closes the socket: where it was waited for, with nothing read or written since.
struct SocketWaited { KernelTime time; SocketId socket; StackHash stack; };

/// A unix socket: what it is bound to and what it is connected to. An abstract path begins with '@'.
struct SocketNamed { KernelTime time; SocketId socket; SocketId peer; std::string path; std::string peer_path; };

struct SocketDestroyed { KernelTime time; SocketId socket; };

struct ProcessForked {
  KernelTime time; Task parent; ProcessId child; std::string comm;
  bool shares_files = false;  // one descriptor table for both
};
struct ProcessExeced { KernelTime time; Task task; std::string comm; };
struct ProcessExited { KernelTime time; Task task; int wait_status; };
struct ProcessFreed { KernelTime time; ProcessId process; };

/// Not told of every way.
struct DescriptorReceived { KernelTime time; Task task; SocketId socket; Fd fd; Received how; };

struct SnapshotBegan { KernelTime time; };
struct SnapshotSocket {
  KernelTime time; SocketId socket; std::uint64_t inode; TcpState state; bool dead;
  std::uint64_t rx_bytes; std::uint64_t tx_bytes; NetnsId netns; Addresses addresses;
  SocketFacts facts = {};
};
struct SnapshotHolder {
  KernelTime time; Task task; std::string comm; Fd fd; bool close_on_exec;
  SocketId socket; SocketId listener; std::uint64_t inode; TcpState state;
  std::uint64_t rx_bytes; std::uint64_t tx_bytes; NetnsId netns; Addresses addresses;
  SocketFacts facts = {};
  Via via = Via::kDescriptor;  // others come after SnapshotEnded, with a fd that says where
};
struct SnapshotEnded { KernelTime time; bool complete; };
/// After a snapshot: why the socket is there if no descriptor says so; of a listener, its queue.
struct SnapshotCause {
  KernelTime time; SocketId socket; Cause cause; bool ownerless; std::string evidence;
  std::uint32_t waiting; std::uint32_t backlog;
};
/// After a snapshot: whether a thread that made a socket which is still open is there.
struct SnapshotThread { KernelTime time; Task task; bool lives; };
/// After a snapshot: a process that is near its limit of descriptors.
struct SnapshotLimit { KernelTime time; Pid pid; std::string comm; std::uint64_t used; std::uint64_t limit; };

using Event = std::variant<SessionBegan, CommandEnded, SocketCreated, SocketAccepted, StateChanged, SocketClosed,
                           SocketDestroyed, ProcessForked, ProcessExeced, ProcessExited, ProcessFreed, SnapshotBegan,
                           DescriptorReceived, SnapshotSocket, SnapshotHolder, SnapshotEnded, SnapshotCause, SnapshotLimit, SnapshotThread,
                           SocketTouched, SocketGoroutine, GoroutineAncestors, SocketWaited, SocketNamed>;

}  // namespace sockleak
