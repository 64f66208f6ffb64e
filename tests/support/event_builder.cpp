// The kernel's part of a story, as the records of bpf/abi/wire.h.
#include "support/event_builder.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace sockleak::test {
namespace {

constexpr std::uint16_t kAfUnix = 1;
constexpr std::uint16_t kAfInet = 2;
constexpr std::uint8_t kStream = 1;
constexpr std::uint8_t kDatagram = 2;

void put_comm(char (&comm)[SL_COMM_LEN], const std::string& text) {
  std::memcpy(comm, text.data(), std::min<std::size_t>(text.size(), SL_COMM_LEN));
}

void put_address(std::uint8_t (&address)[16], std::uint8_t last) {
  address[0] = 10;
  address[3] = last;
}

}  // namespace

Actor process(std::uint32_t pid, std::string comm) {
  return {pid, pid, pid * 1000ULL, std::move(comm)};
}

Actor thread(const Actor& of, std::uint32_t tid, std::string comm) {
  return {of.pid, tid, of.start_ns, std::move(comm)};
}

EventBuilder& EventBuilder::after(Duration duration) {
  now_ += static_cast<std::uint64_t>(duration.count());
  return *this;
}

EventBuilder& EventBuilder::session_begins() {
  return record(SL_SESSION_BEGIN, sl_session_mark{});
}

EventBuilder& EventBuilder::command_ended(const Actor& who, std::int32_t wait_status) {
  return record(SL_COMMAND_ENDED, sl_session_mark{.header = header_of(who), .status = wait_status, .padding = 0});
}

EventBuilder& EventBuilder::stack(std::uint64_t hash, const std::vector<std::uint64_t>& addresses) {
  Recording::Item item;
  item.stack.hash = StackHash{hash};
  item.stack.mapped.end = WalkEnd::kComplete;
  for (const std::uint64_t address : addresses) item.stack.mapped.frames.push_back({ModuleId{1}, address});
  items_.push_back(std::move(item));
  return *this;
}

EventBuilder& EventBuilder::creates(const Actor& who, std::uint64_t cookie, std::uint64_t stack, Protocol protocol) {
  return created(who, cookie, stack, protocol, 0);
}

EventBuilder& EventBuilder::pairs(const Actor& who, std::uint64_t first, std::uint64_t second, std::uint64_t stack) {
  for (const std::uint64_t cookie : {first, second}) {
    created(who, cookie, stack, Protocol::kUnix, SL_CREATED_IN_PAIR);
    sockets_[cookie].state = TcpState::kEstablished;
  }
  return *this;
}

EventBuilder& EventBuilder::named(std::uint64_t cookie, const std::string& path, const std::string& peer_path,
                                  std::uint64_t peer) {
  sl_socket_named wire{};
  wire.cookie = cookie;
  wire.peer = peer;
  wire.length = static_cast<std::uint8_t>(path.copy(wire.path, sizeof(wire.path)));
  wire.peer_length = static_cast<std::uint8_t>(peer_path.copy(wire.peer_path, sizeof(wire.peer_path)));
  return record(SL_SOCKET_NAMED, wire);
}

EventBuilder& EventBuilder::found_gone(std::uint64_t cookie) {
  sockets_.erase(cookie);
  sl_socket_closed wire{};
  wire.cookie = cookie;
  wire.how = SL_CLOSE_UNSEEN;
  return record(SL_SOCKET_CLOSED, wire);
}

EventBuilder& EventBuilder::created(const Actor& who, std::uint64_t cookie, std::uint64_t stack, Protocol protocol,
                                    std::uint16_t flags) {
  Socket& socket = sockets_[cookie];
  socket.tuple.family = protocol == Protocol::kUnix ? kAfUnix : kAfInet;
  socket.tuple.protocol = protocol == Protocol::kUnix ? std::uint8_t{0} : static_cast<std::uint8_t>(protocol);
  socket.tuple.type = protocol == Protocol::kUdp ? kDatagram : kStream;
  hold(socket, who);
  sl_socket_created wire{};
  wire.header = header_of(who);
  wire.header.flags = flags;
  wire.cookie = cookie;
  wire.stack = stack;
  wire.netns = kNetns;
  wire.stack_end = stack == 0 ? SL_WALK_MISSING_RULE : SL_WALK_COMPLETE;
  wire.tuple = socket.tuple;
  put_comm(wire.comm, who.comm);
  return record(SL_SOCKET_CREATED, wire);
}

EventBuilder& EventBuilder::in_goroutine(std::uint64_t cookie, std::uint64_t goroutine, std::uint64_t created_at) {
  return record(SL_SOCKET_GOROUTINE, sl_socket_goroutine{.header = {},
                                                         .cookie = cookie,
                                                         .goroutine = goroutine,
                                                         .parent = 0,
                                                         .created_at = created_at});
}

EventBuilder& EventBuilder::ancestors(std::uint64_t cookie,
                                      const std::vector<std::pair<std::uint64_t, std::uint64_t>>& all, bool exact) {
  sl_goroutine_ancestors wire{};
  wire.cookie = cookie;
  wire.exact = exact ? 1 : 0;
  for (const auto& [goroutine, stack] : all) wire.ancestors[wire.count++] = {goroutine, stack};
  return record(SL_GOROUTINE_ANCESTORS, wire);
}

EventBuilder& EventBuilder::waited(std::uint64_t cookie, std::uint64_t stack) {
  return record(SL_SOCKET_WAITED, sl_socket_waited{.header = {}, .cookie = cookie, .stack = stack});
}

EventBuilder& EventBuilder::connects(std::uint64_t cookie, std::uint16_t port) {
  Socket& socket = sockets_[cookie];
  connected_tuple(socket, static_cast<std::uint16_t>(32768 + cookie % 28000), port);
  socket.state = TcpState::kSynSent;  // not told: SYN_SENT says nothing that ESTABLISHED does not
  return state(cookie, TcpState::kEstablished);
}

EventBuilder& EventBuilder::opens(const Actor& who, std::uint64_t cookie, std::uint64_t stack) {
  return creates(who, cookie, stack).connects(cookie);
}

EventBuilder& EventBuilder::listens(std::uint64_t cookie, std::uint16_t port) {
  sockets_[cookie].tuple.local_port = port;
  return state(cookie, TcpState::kListen);
}

EventBuilder& EventBuilder::arrives(std::uint64_t cookie, std::uint64_t listener) {
  Socket& socket = sockets_[cookie];
  connected_tuple(socket, 80, static_cast<std::uint16_t>(40000 + cookie % 20000));
  socket.tuple.protocol = static_cast<std::uint8_t>(Protocol::kTcp);
  socket.state = TcpState::kSynRecv;
  socket.listener = listener;
  return state(cookie, TcpState::kEstablished);
}

EventBuilder& EventBuilder::accepts(const Actor& who, std::uint64_t cookie, std::uint64_t listener,
                                    std::uint64_t stack) {
  Socket& socket = sockets_[cookie];
  if (socket.tuple.family == 0) {  // the story began at the accept
    connected_tuple(socket, 80, static_cast<std::uint16_t>(40000 + cookie % 20000));
    socket.tuple.protocol = static_cast<std::uint8_t>(Protocol::kTcp);
    socket.state = TcpState::kEstablished;
    socket.listener = listener;
  }
  hold(socket, who);
  sl_socket_accepted wire{};
  wire.header = header_of(who);
  wire.cookie = cookie;
  wire.listener_cookie = listener;
  wire.stack = stack;
  wire.netns = kNetns;
  wire.stack_end = stack == 0 ? SL_WALK_MISSING_RULE : SL_WALK_COMPLETE;
  wire.fd = socket.descriptors.back().fd;
  wire.tuple = socket.tuple;
  put_comm(wire.comm, who.comm);
  return record(SL_SOCKET_ACCEPTED, wire);
}

EventBuilder& EventBuilder::held_before(const Actor& who, std::uint64_t cookie, TcpState state,
                                        std::uint64_t listener) {
  Socket& socket = sockets_[cookie];
  connected_tuple(socket, static_cast<std::uint16_t>(32768 + cookie % 28000), 443);
  socket.tuple.protocol = static_cast<std::uint8_t>(Protocol::kTcp);
  socket.state = state;
  socket.listener = listener;
  hold(socket, who);
  return *this;
}

EventBuilder& EventBuilder::state(std::uint64_t cookie, TcpState to) {
  Socket& socket = sockets_[cookie];
  sl_state_changed wire{};
  wire.cookie = cookie;
  wire.listener_cookie = socket.listener;
  wire.netns = kNetns;
  wire.old_state = static_cast<std::uint8_t>(socket.state);
  wire.new_state = static_cast<std::uint8_t>(to);
  wire.tuple = socket.tuple;
  socket.state = to;
  return record(SL_STATE_CHANGED, wire);
}

EventBuilder& EventBuilder::facts(std::uint64_t cookie, const SocketFacts& facts) {
  sockets_[cookie].facts = facts;
  return *this;
}

EventBuilder& EventBuilder::forks(const Actor& parent, const Actor& child) {
  for (auto& [cookie, socket] : sockets_) {
    const auto held = socket.descriptors;
    for (const Descriptor& descriptor : held) {
      if (descriptor.holder.process() == parent.process()) socket.descriptors.push_back({child, descriptor.fd});
    }
  }
  return forked(parent, child, 0);
}

EventBuilder& EventBuilder::shares_files(const Actor& parent, const Actor& child) {
  return forked(parent, child, SL_FORK_SHARES_FILES);
}

EventBuilder& EventBuilder::gets(const Actor& who, std::uint64_t cookie) {
  hold(sockets_[cookie], who);
  return *this;
}

EventBuilder& EventBuilder::receives(const Actor& who, std::uint64_t cookie, std::uint8_t how) {
  hold(sockets_[cookie], who);
  sl_descriptor_received wire{};
  wire.header = header_of(who);
  wire.cookie = cookie;
  wire.fd = sockets_[cookie].descriptors.back().fd;
  wire.how = how;
  return record(SL_DESCRIPTOR_RECEIVED, wire);
}

EventBuilder& EventBuilder::kept_by(const Actor& who, std::uint64_t cookie, Via via, std::int32_t place) {
  sl_snapshot_holder wire{};
  wire.header = header_of(who);
  wire.cookie = cookie;
  wire.fd = place;
  wire.via = static_cast<std::uint8_t>(via);
  put_comm(wire.comm, who.comm);
  return record(SL_SNAPSHOT_HOLDER, wire);
}

EventBuilder& EventBuilder::cause(std::uint64_t cookie, Cause cause, const std::string& evidence) {
  sl_snapshot_cause wire{};
  wire.cookie = cookie;
  wire.cause = static_cast<std::uint8_t>(cause);
  wire.ownerless = 1;
  std::memcpy(wire.evidence, evidence.data(), std::min<std::size_t>(evidence.size(), SL_EVIDENCE_LEN));
  return record(SL_SNAPSHOT_CAUSE, wire);
}

EventBuilder& EventBuilder::queue(std::uint64_t listener, std::uint32_t waiting, std::uint32_t backlog) {
  sl_snapshot_cause wire{};
  wire.cookie = listener;
  wire.waiting = waiting;
  wire.backlog = backlog;
  return record(SL_SNAPSHOT_CAUSE, wire);
}

EventBuilder& EventBuilder::thread_found(const Actor& who, bool lives) {
  sl_snapshot_thread wire{.header = header_of(who)};
  wire.header.flags = lives ? SL_THREAD_LIVES : std::uint16_t{0};
  return record(SL_SNAPSHOT_THREAD, wire);
}

EventBuilder& EventBuilder::limit(const Actor& who, std::uint64_t used, std::uint64_t most) {
  sl_snapshot_limit wire{};
  wire.header = header_of(who);
  wire.used = used;
  wire.limit = most;
  put_comm(wire.comm, who.comm);
  return record(SL_SNAPSHOT_LIMIT, wire);
}

EventBuilder& EventBuilder::forked(const Actor& parent, const Actor& child, std::uint16_t flags) {
  sl_process_forked wire{};
  wire.header = header_of(parent);
  wire.header.flags = flags;
  wire.child_start_ns = child.start_ns;
  wire.child_tgid = child.pid;
  put_comm(wire.comm, child.comm);
  return record(SL_PROCESS_FORKED, wire);
}

EventBuilder& EventBuilder::execs(const Actor& who) {
  sl_process_execed wire{};
  wire.header = header_of(who);
  put_comm(wire.comm, who.comm);
  return record(SL_PROCESS_EXECED, wire);
}

EventBuilder& EventBuilder::closes(const Actor& who, std::uint64_t cookie, std::uint64_t stack, CloseHow how) {
  auto& descriptors = sockets_[cookie].descriptors;
  const auto mine = [&who](const Descriptor& d) { return d.holder.process() == who.process(); };
  descriptors.erase(std::remove_if(descriptors.begin(), descriptors.end(), mine), descriptors.end());
  return descriptors.empty() ? closed(who, cookie, stack, how) : *this;
}

EventBuilder& EventBuilder::destroyed(std::uint64_t cookie) {
  sockets_.erase(cookie);
  return record(SL_SOCKET_DESTROYED, sl_socket_destroyed{.header = {}, .cookie = cookie});
}

EventBuilder& EventBuilder::exits(const Actor& who, std::int32_t wait_status) {
  // The exit tracepoint fires before the files are closed.
  record(SL_PROCESS_EXITED, sl_process_exited{.header = header_of(who), .exit_code = wait_status, .padding = 0});
  std::vector<std::uint64_t> held;
  for (const auto& [cookie, socket] : sockets_) {
    for (const Descriptor& descriptor : socket.descriptors) {
      if (descriptor.holder.process() == who.process() && (held.empty() || held.back() != cookie)) {
        held.push_back(cookie);
      }
    }
  }
  for (const std::uint64_t cookie : held) closes(who, cookie, 0, CloseHow::kExit);
  return *this;
}

EventBuilder& EventBuilder::freed(const Actor& who) {
  return record(SL_PROCESS_FREED, sl_process_freed{.header = header_of(who)});
}

EventBuilder& EventBuilder::vanishes(std::uint64_t cookie) {
  sockets_.erase(cookie);
  return *this;
}

EventBuilder& EventBuilder::snapshot(bool complete) {
  record(SL_SNAPSHOT_BEGIN, sl_snapshot_mark{});
  for (const auto& [cookie, socket] : sockets_) snapshot_of(cookie, socket);
  return record(SL_SNAPSHOT_END, sl_snapshot_mark{.header = {}, .complete = complete ? 1U : 0U, .padding = 0});
}

Recording EventBuilder::recording() const {
  Recording recording;
  recording.items = items_;
  return recording;
}

EventBuilder& EventBuilder::bytes(const void* data, std::size_t size) {
  Recording::Item item;
  item.record.resize(size);
  std::memcpy(item.record.data(), data, size);
  items_.push_back(std::move(item));
  return *this;
}

sl_header EventBuilder::header_of(const Actor& who) {
  sl_header header{};
  header.tgid = who.pid;
  header.tid = who.tid;
  header.start_ns = who.start_ns;
  return header;
}

void EventBuilder::hold(Socket& socket, const Actor& who) {
  socket.descriptors.push_back({who, next_fd_++});
}

void EventBuilder::connected_tuple(Socket& socket, std::uint16_t local_port, std::uint16_t remote_port) {
  socket.tuple.family = kAfInet;
  socket.tuple.type = kStream;
  put_address(socket.tuple.local, 1);
  put_address(socket.tuple.remote, 9);
  socket.tuple.local_port = local_port;
  socket.tuple.remote_port = remote_port;
}

EventBuilder& EventBuilder::closed(const Actor& who, std::uint64_t cookie, std::uint64_t stack, CloseHow how) {
  sl_socket_closed wire{};
  wire.header = header_of(who);
  wire.cookie = cookie;
  wire.stack = stack;
  wire.stack_end = stack != 0 ? SL_WALK_COMPLETE : SL_WALK_NO_USER;
  wire.how = static_cast<std::uint8_t>(how);
  wire.state = static_cast<std::uint8_t>(sockets_[cookie].state);
  put_comm(wire.comm, who.comm);
  wire.facts = wire_of(sockets_[cookie].facts);
  sockets_.erase(cookie);
  return record(SL_SOCKET_CLOSED, wire);
}

void EventBuilder::snapshot_of(std::uint64_t cookie, const Socket& socket) {
  const bool hashed = socket.tuple.protocol == static_cast<std::uint8_t>(Protocol::kTcp) &&
                      socket.state != TcpState::kClose;  // iter/tcp walks the hash tables only
  if (hashed) {
    sl_snapshot_socket wire{};
    wire.cookie = cookie;
    wire.inode = socket.descriptors.empty() ? 0 : 50'000 + cookie;
    wire.netns = kNetns;
    wire.state = static_cast<std::uint8_t>(socket.state);
    wire.tuple = socket.tuple;
    wire.facts = wire_of(socket.facts);
    record(SL_SNAPSHOT_SOCKET, wire);
  }
  for (const Descriptor& descriptor : socket.descriptors) {
    sl_snapshot_holder wire{};
    wire.header = header_of(descriptor.holder);
    wire.cookie = cookie;
    wire.inode = 50'000 + cookie;
    wire.listener_cookie = socket.listener;
    wire.netns = kNetns;
    wire.fd = descriptor.fd;
    wire.state = static_cast<std::uint8_t>(socket.state);
    wire.tuple = socket.tuple;
    put_comm(wire.comm, descriptor.holder.comm);
    wire.facts = wire_of(socket.facts);
    record(SL_SNAPSHOT_HOLDER, wire);
  }
}

}  // namespace sockleak::test
