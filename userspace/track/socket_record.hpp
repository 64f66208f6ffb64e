// All that is known of one socket that is still open (or was left open by a process that ended).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "event/event.hpp"

namespace sockleak {

/// How the socket came to be, as far as the tracker knows it.
/// kSocketPair: by socketpair(). What became of a unix socket that socket() made is not told apart.
enum class Origin : std::uint8_t { kSocket, kConnect, kAccept, kBeforeAttach, kSocketPair };
[[nodiscard]] const char* to_string(Origin origin);  // "socket" | "connect" | "accept" | "before-attach" | "socketpair"

/// How a process came by a socket that another one made.
enum class HandOver : std::uint8_t {
  kNone,      // it made the socket itself
  kExec,      // so it did, but has executed another program since
  kFork,      // inherited from its parent (or further up)
  kForkExec,  // and kept through execve(), for lack of close-on-exec
  kScmRights, kPidfdGetfd,
  kSharedFiles,  // one descriptor table for both (CLONE_FILES)
  kUnknown,
};
[[nodiscard]] const char* to_string(HandOver how);  // "" | "exec" | "fork" | "fork-exec" | "scm_rights" ...

/// What kept the socket open in the last snapshot: a descriptor, or what `via` says.
struct Holder {
  ProcessId process;  // pid 0 = nobody in particular: a message in the queue of a unix socket that nobody holds
  Pid tid;
  std::string comm;
  Fd fd;  // io_uring: the slot; a message: the descriptor of the unix socket that has not received it; -1 = none
  bool close_on_exec = false;
  Via via = Via::kDescriptor;
  HandOver handed_over = HandOver::kNone;  // filled for findings
};

/// Somebody was given a descriptor.
struct Reception {
  ProcessId by;
  KernelTime when;
  Received how = Received::kMessage;
};

/// Of a unix socket.
struct UnixName {
  std::string path;       // it is bound to; empty = none. An abstract one begins with '@'
  std::string peer_path;  // what it is connected to is bound to
  SocketId peer;          // what it is connected to; 0 = nothing, or nobody has accepted it
};

/// What the last look beyond descriptors said of a socket.
struct Plight {
  Cause cause = Cause::kNone;  // why it is there if no descriptor says so
  bool ownerless = false;      // nobody has a descriptor
  std::string evidence;        // for the cause
  std::uint32_t waiting = 0;   // LISTEN: connections to be accepted
  std::uint32_t backlog = 0;   // LISTEN: how many may wait
};

struct SocketRecord {
  SocketId id;
  Origin origin = Origin::kSocket;
  TcpState state = TcpState::kUnknown;
  Addresses addresses;
  NetnsId netns;

  KernelTime created;            // for kBeforeAttach: when it was first seen
  Task creator;                  // pid 0 = unknown (before-attach, or not yet accepted)
  std::string comm;              // the creating thread's name
  StackId stack = kNoStack;      // creation or accept stack
  WalkEnd stack_end = WalkEnd::kNone;

  SocketId listener;             // for passive opens
  StackId listener_stack = kNoStack;
  bool unaccepted = false;       // still in its listener's accept queue

  std::optional<KernelTime> close_wait_since;
  KernelTime state_since;        // when `state` was first seen
  std::vector<Reception> received;  // the last of each receiver, oldest first
  ProcessId first_holder;        // of those that the first snapshot found; nobody was seen making it
  std::uint32_t first_seen_in = 0;  // that snapshot's number

  // From the last snapshot:
  std::uint64_t inode = 0;
  std::uint64_t rx_bytes = 0;
  std::uint64_t tx_bytes = 0;
  std::uint64_t snapshot = 0;    // number of the last snapshot that found it; 0 = none did
  std::vector<Holder> holders;   // who held it then
};

/// When the peer's FIN came: when we saw it, or before that, by its last segment. nullopt = it has not.
[[nodiscard]] std::optional<KernelTime> fin_of(const SocketRecord& socket, const SocketFacts& facts);

}  // namespace sockleak
