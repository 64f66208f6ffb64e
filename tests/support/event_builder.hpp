// Stories for tests: each verb appends the wire records that the kernel would have sent, so tests go through decode.
// The builder keeps a small model of who holds which socket, to know what an exit closes and what a snapshot finds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "abi/wire.h"
#include "event/event.hpp"
#include "event/recording.hpp"

namespace sockleak::test {

/// A thread of a process, as an event's header names it.
struct Actor {
  std::uint32_t pid = 0;
  std::uint32_t tid = 0;
  std::uint64_t start_ns = 0;
  std::string comm = "app";

  [[nodiscard]] ProcessId process() const { return {Pid{pid}, start_ns}; }
};
/// The main thread of a process; started long before the story.
[[nodiscard]] Actor process(std::uint32_t pid, std::string comm = "app");
[[nodiscard]] Actor thread(const Actor& of, std::uint32_t tid, std::string comm);

/// All zeros unless they are known.
[[nodiscard]] sl_facts wire_of(const SocketFacts& facts);

class EventBuilder {
 public:
  static constexpr std::uint64_t kStart = 1'000'000'000'000;  // the story's clock at first, ns
  static constexpr std::uint32_t kNetns = 4'026'531'840;

  EventBuilder& after(Duration duration);
  [[nodiscard]] KernelTime now() const { return KernelTime{now_}; }

  EventBuilder& session_begins();
  EventBuilder& command_ended(const Actor& who, std::int32_t wait_status);
  /// `hash` means this stack from now on.
  EventBuilder& stack(std::uint64_t hash, const std::vector<std::uint64_t>& addresses);

  // Births. A stack of 0 means that none could be walked.
  EventBuilder& creates(const Actor& who, std::uint64_t cookie, std::uint64_t stack = 0,
                        Protocol protocol = Protocol::kTcp);
  EventBuilder& pairs(const Actor& who, std::uint64_t first, std::uint64_t second, std::uint64_t stack = 0);  // socketpair()
  /// A unix socket, as the kernel has its names: an abstract path begins with a zero byte.
  EventBuilder& named(std::uint64_t cookie, const std::string& path, const std::string& peer_path = {},
                      std::uint64_t peer = 0);
  EventBuilder& connects(std::uint64_t cookie, std::uint16_t port = 5432);
  EventBuilder& opens(const Actor& who, std::uint64_t cookie, std::uint64_t stack = 0);  // creates and connects
  EventBuilder& listens(std::uint64_t cookie, std::uint16_t port = 80);
  EventBuilder& arrives(std::uint64_t cookie, std::uint64_t listener);  // a connection in the accept queue
  EventBuilder& accepts(const Actor& who, std::uint64_t cookie, std::uint64_t listener, std::uint64_t stack = 0);
  /// Go: which goroutine made the socket; `created_at` is the stack of the `go` statement.
  EventBuilder& in_goroutine(std::uint64_t cookie, std::uint64_t goroutine, std::uint64_t created_at = 0);
  /// Its ancestors: goroutine and stack, the parent first.
  EventBuilder& ancestors(std::uint64_t cookie, const std::vector<std::pair<std::uint64_t, std::uint64_t>>& all,
                          bool exact = true);
  /// Go: where it was waited for, told when the process ends.
  EventBuilder& waited(std::uint64_t cookie, std::uint64_t stack);
  /// Open since before the session: no event tells of it, only snapshots and later changes.
  EventBuilder& held_before(const Actor& who, std::uint64_t cookie, TcpState state = TcpState::kEstablished,
                            std::uint64_t listener = 0);

  // Life.
  EventBuilder& state(std::uint64_t cookie, TcpState to);
  EventBuilder& peer_closes(std::uint64_t cookie) { return state(cookie, TcpState::kCloseWait); }
  /// What looks and the last close will find of its use from now on; the builder makes up none of it.
  EventBuilder& facts(std::uint64_t cookie, const SocketFacts& facts);
  EventBuilder& forks(const Actor& parent, const Actor& child);  // the child holds what the parent holds
  EventBuilder& shares_files(const Actor& parent, const Actor& child);  // forks with one descriptor table for both
  /// Has a descriptor now, in a way that no event tells.
  EventBuilder& gets(const Actor& who, std::uint64_t cookie);
  EventBuilder& receives(const Actor& who, std::uint64_t cookie, std::uint8_t how);  // SL_RECEIVED_*
  EventBuilder& execs(const Actor& who);

  // Ends.
  /// One holder lets go; the last one closes the socket.
  EventBuilder& closes(const Actor& who, std::uint64_t cookie, std::uint64_t stack = 0, CloseHow how = CloseHow::kCall);
  EventBuilder& destroyed(std::uint64_t cookie);
  EventBuilder& found_gone(std::uint64_t cookie);  // a unix socket whose close no hook saw
  /// The exit, and the closes of all that only this process held.
  EventBuilder& exits(const Actor& who, std::int32_t wait_status = 0);
  EventBuilder& freed(const Actor& who);
  /// The socket is gone and its events were lost.
  EventBuilder& vanishes(std::uint64_t cookie);

  /// Every open socket and every holder, between its marks.
  EventBuilder& snapshot(bool complete = true);

  /// After a snapshot: kept by something that is no descriptor.
  EventBuilder& kept_by(const Actor& who, std::uint64_t cookie, Via via, std::int32_t place = -1);
  EventBuilder& cause(std::uint64_t cookie, Cause cause, const std::string& evidence = {});
  EventBuilder& queue(std::uint64_t listener, std::uint32_t waiting, std::uint32_t backlog);
  /// Whether a creator is still there.
  EventBuilder& thread_found(const Actor& who, bool lives);
  EventBuilder& limit(const Actor& who, std::uint64_t used, std::uint64_t most);

  /// Any record; the header's size, type and time are filled in.
  template <typename Wire>
  EventBuilder& record(std::uint16_t type, Wire wire) {
    wire.header.size = sizeof(wire);
    wire.header.type = type;
    wire.header.ktime_ns = now_;
    return bytes(&wire, sizeof(wire));
  }

  [[nodiscard]] const std::vector<Recording::Item>& items() const { return items_; }
  [[nodiscard]] Recording recording() const;
  /// The last record's bytes.
  [[nodiscard]] const std::vector<std::byte>& last() const { return items_.back().record; }

 private:
  struct Descriptor {
    Actor holder;
    std::int32_t fd = 0;
  };
  struct Socket {
    sl_tuple tuple{};
    TcpState state = TcpState::kClose;
    std::uint64_t listener = 0;
    std::vector<Descriptor> descriptors;
    SocketFacts facts;
  };

  EventBuilder& bytes(const void* data, std::size_t size);
  static sl_header header_of(const Actor& who);
  EventBuilder& created(const Actor& who, std::uint64_t cookie, std::uint64_t stack, Protocol protocol,
                        std::uint16_t flags);
  EventBuilder& forked(const Actor& parent, const Actor& child, std::uint16_t flags);
  void hold(Socket& socket, const Actor& who);
  void connected_tuple(Socket& socket, std::uint16_t local_port, std::uint16_t remote_port);
  EventBuilder& closed(const Actor& who, std::uint64_t cookie, std::uint64_t stack, CloseHow how);
  void snapshot_of(std::uint64_t cookie, const Socket& socket);

  std::uint64_t now_ = kStart;
  std::int32_t next_fd_ = 3;
  std::map<std::uint64_t, Socket> sockets_;
  std::vector<Recording::Item> items_;
};

}  // namespace sockleak::test
