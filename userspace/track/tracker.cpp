// The life of a socket in the table:
//
//   socket() ───────────────────────► kSocket ─── connects ───► kConnect ──┐
//   passive open ► kAccept, in no site yet ── accept() ───────► kAccept ───┼─► closed: leaves table and site
//   first seen in a snapshot or a change, never created ──► kBeforeAttach ─┘   (only exit closed it: kept there)
//
// A socket is counted in exactly one site, except while it waits in an accept queue: nobody's code opened it yet.
// Events of one socket may arrive a little out of order (a snapshot is read beside the ring), so whoever learns more
// about a known socket moves it to the site it belongs to.
#include "track/tracker.hpp"

#include <algorithm>
#include <utility>

#include "track/hand_over.hpp"

namespace sockleak {
namespace {

// A pre-forking server's listener is held by every worker: beyond these a report has nothing more to say.
constexpr std::size_t kKeptHolders = 64;
constexpr std::size_t kKeptReceptions = 64;
constexpr std::size_t kKeptLimits = 1000;
constexpr std::size_t kKeptThreads = 100'000;

[[nodiscard]] bool is_stream(Protocol protocol) {
  return protocol == Protocol::kTcp || protocol == Protocol::kMptcp || protocol == Protocol::kSctp;
}

/// States in which only connect() can have brought a stream socket that socket() made.
[[nodiscard]] bool says_connected(const SocketRecord& socket, TcpState state) {
  return is_stream(socket.addresses.protocol) &&
         (state == TcpState::kSynSent || state == TcpState::kEstablished || state == TcpState::kCloseWait);
}

/// States that prove a socket is open. A socket that was closed goes on through FIN_WAIT, LAST_ACK and the like:
/// those of an unknown socket are no reason to believe in it.
[[nodiscard]] bool proves_open(TcpState state) {
  return state == TcpState::kSynSent || state == TcpState::kSynRecv || state == TcpState::kEstablished ||
         state == TcpState::kCloseWait || state == TcpState::kListen;
}

[[nodiscard]] bool creator_known(const SocketRecord& socket) {
  return socket.creator.process.pid.value != 0;
}

}  // namespace

void Tracker::apply(const Event& event) {
  std::visit(
      [this](const auto& e) {
        advance(e.time);
        on(e);
      },
      event);
}

void Tracker::on(const SessionBegan& e) {
  if (session_began_) return;
  session_began_ = true;
  session_begin_ = e.time;
}

void Tracker::on(const CommandEnded&) {}

void Tracker::on(const SocketCreated& e) {
  if (e.socket.value == 0) return counters_.add(Counter::records_malformed);
  SocketRecord* socket = find(e.socket);
  if (socket == nullptr) {
    SocketRecord record;
    record.id = e.socket;
    record.state = TcpState::kClose;
    socket = insert(std::move(record));
    if (socket == nullptr) return;
  } else {
    if (creator_known(*socket)) return;  // a cookie is given once: this one was told twice
    if (!socket->unaccepted) forget_in_site(*socket);
  }
  socket->unaccepted = false;
  socket->created = e.time;
  if (socket->state_since < e.time) socket->state_since = e.time;
  socket->creator = e.task;
  socket->comm = e.comm;
  socket->stack = resolve(e.stack);
  socket->stack_end = e.stack_end;
  socket->addresses.protocol = e.addresses.protocol;
  socket->addresses.type = e.addresses.type;
  update(*socket, e.addresses, e.netns);
  socket->origin = e.in_pair                                  ? Origin::kSocketPair
                   : says_connected(*socket, socket->state) ? Origin::kConnect
                                                              : Origin::kSocket;
  enter_site(*socket);
}

void Tracker::on(const SocketAccepted& e) {
  if (e.socket.value == 0) return;  // the kernel side counted it: SL_COUNTER_ACCEPT_WITHOUT_COOKIE
  SocketRecord* socket = find(e.socket);
  if (socket == nullptr) {
    SocketRecord record;
    record.id = e.socket;
    if (is_stream(e.addresses.protocol)) record.state = TcpState::kEstablished;
    socket = insert(std::move(record));
    if (socket == nullptr) return;
  } else {
    if (creator_known(*socket)) return;
    if (!socket->unaccepted) forget_in_site(*socket);
  }
  socket->unaccepted = false;
  socket->origin = Origin::kAccept;
  socket->created = e.time;  // in the queue it was nobody's duty to close it
  socket->creator = e.task;
  socket->comm = e.comm;
  socket->stack = resolve(e.stack);
  socket->stack_end = e.stack_end;
  set_listener(*socket, e.listener);
  socket->addresses.protocol = e.addresses.protocol;
  socket->addresses.type = e.addresses.type;
  update(*socket, e.addresses, e.netns);
  enter_site(*socket);
}

void Tracker::on(const StateChanged& e) {
  if (e.socket.value == 0) return counters_.add(Counter::records_malformed);
  SocketRecord* socket = find(e.socket);
  if (socket == nullptr) {
    if (!proves_open(e.to)) return;
    socket = first_sight(e.socket, e.time, e.addresses, e.listener.value != 0);
    if (socket == nullptr) return;
  }
  set_listener(*socket, e.listener);
  update(*socket, e.addresses, e.netns);
  // Also one that was refused. The kernel side does not tell of the beginning.
  const bool connected = e.to == TcpState::kSynSent || e.from == TcpState::kSynSent;
  if (connected && socket->origin == Origin::kSocket) set_origin(*socket, Origin::kConnect);
  set_state(*socket, e.to, e.time);
}

void Tracker::on(const SocketClosed& e) {
  const auto found = sockets_.find(e.socket);
  if (found == sockets_.end()) {
    if (session_began_) counters_.add(Counter::closes_without_open);
    return;
  }
  SocketRecord& socket = found->second;
  if (socket.unaccepted) accepted_unseen(socket, e.task);
  if (e.state != TcpState::kUnknown) socket.state = e.state;
  const bool at_exit = left_by_creator(socket, e);
  Site& left = leave_site(socket);
  ++left.closed;
  EndedSocket ended{std::move(socket), e.facts, e.time, e.how, resolve(e.stack), e.task.process};
  sockets_.erase(found);
  ++left.close_paths[ClosePath{e.how, ended.closed_at}];
  if (!at_exit) forget_details(e.socket);
  if (ended.record.origin != Origin::kBeforeAttach) ++totals_.closed;
  if (e.how == CloseHow::kUnseen) return;  // nobody knows when
  left.gone.add(in_short(ended, at_exit));
  if (at_exit) return keep_at_exit(left, std::move(ended));
  if (ended.record.origin != Origin::kBeforeAttach) {
    left.lifetimes.add(e.time - ended.record.created);
    if (const auto fin = fin_of(ended.record, e.facts)) left.dwells.add(e.time - *fin);
  }
  keep_late(left, std::move(ended));
}

void Tracker::on(const SocketDestroyed& e) {
  const auto found = sockets_.find(e.socket);
  if (found == sockets_.end()) return;  // closed before: the normal case
  forget_details(e.socket);
  if (!found->second.unaccepted) {      // its close was lost: nobody knows how and where
    ++leave_site(found->second).closed;
    if (found->second.origin != Origin::kBeforeAttach) ++totals_.closed;
  }
  sockets_.erase(found);
}

void Tracker::on(const ProcessForked& e) {
  processes_.forked(e.parent.process, e.child, e.time, e.shares_files);
}
void Tracker::on(const ProcessExeced& e) {
  processes_.execed(e.task.process, e.time);
}
void Tracker::on(const ProcessExited& e) {
  processes_.ended(e.task.process, e.time, e.wait_status);
}
void Tracker::on(const ProcessFreed& e) {
  processes_.ended(e.process, e.time);
}  // in case its exit was lost

void Tracker::on(const DescriptorReceived& e) {
  SocketRecord* socket = find(e.socket);
  if (socket == nullptr) return;  // somebody else's socket
  // Who receives it again has probably closed what it had.
  std::erase_if(socket->received, [&](const Reception& reception) { return reception.by == e.task.process; });
  if (socket->received.size() == kKeptReceptions) socket->received.erase(socket->received.begin());
  socket->received.push_back({e.task.process, e.time, e.how});
}

void Tracker::on(const SnapshotBegan&) {
  ++snapshots_begun_;
  limits_.clear();
  plights_.clear();
  facts_.clear();
  std::erase_if(threads_, [](const auto& thread) { return thread.second; });  // one that has ended stays so
}

void Tracker::on(const SnapshotSocket& e) {
  if (e.dead) return;  // closed long since: only the kernel still works on it
  if (e.socket.value == 0) return counters_.add(Counter::records_malformed);
  SocketRecord* socket = find(e.socket);
  if (socket == nullptr) socket = first_sight(e.socket, e.time, e.addresses, e.inode == 0);
  if (socket == nullptr) return;
  confirm(*socket);
  if (e.inode != 0) socket->inode = e.inode;
  note_facts(e.socket, e.facts);
  socket->rx_bytes = e.rx_bytes;
  socket->tx_bytes = e.tx_bytes;
  update(*socket, e.addresses, e.netns);
  if (e.state != TcpState::kUnknown) set_state(*socket, e.state, e.time);
  if (socket->origin == Origin::kSocket && says_connected(*socket, e.state)) set_origin(*socket, Origin::kConnect);
}

void Tracker::on(const SnapshotHolder& e) {
  if (e.socket.value == 0) return counters_.add(Counter::records_malformed);
  SocketRecord* socket = find(e.socket);
  if (e.via != Via::kDescriptor) {  // looked for after the snapshot: a socket that is not known was closed meanwhile
    if (socket == nullptr) return;
    confirm(*socket);
    keep_holder(*socket, e);
    return;
  }
  if (socket == nullptr) socket = first_sight(e.socket, e.time, e.addresses, false);
  if (socket == nullptr) return;
  if (socket->unaccepted) {  // somebody has a descriptor, so it was accepted; who and where may still be to come
    socket->unaccepted = false;
    enter_site(*socket);
  }
  confirm(*socket);
  if (e.inode != 0) socket->inode = e.inode;
  socket->rx_bytes = std::max(socket->rx_bytes, e.rx_bytes);
  socket->tx_bytes = std::max(socket->tx_bytes, e.tx_bytes);
  set_listener(*socket, e.listener);
  update(*socket, e.addresses, e.netns);
  if (e.state != TcpState::kUnknown) set_state(*socket, e.state, e.time);
  if (socket->origin == Origin::kSocket && says_connected(*socket, e.state)) set_origin(*socket, Origin::kConnect);
  note_facts(e.socket, e.facts);
  note_first_holder(*socket, e.task.process);
  keep_holder(*socket, e);
}

void Tracker::on(const SnapshotEnded& e) {
  if (e.complete && snapshots_begun_ != 0) {
    last_snapshot_ = snapshots_begun_;
  } else {
    counters_.add(Counter::snapshots_incomplete);
  }
}

void Tracker::on(const SnapshotCause& e) {
  if (find(e.socket) == nullptr) return;  // closed meanwhile
  plights_.insert_or_assign(e.socket, Plight{e.cause, e.ownerless, e.evidence, e.waiting, e.backlog});
}

void Tracker::on(const SnapshotThread& e) {
  if (threads_.size() < kKeptThreads) threads_[{e.task.process, e.task.tid}] = e.lives;
}

void Tracker::on(const SnapshotLimit& e) {
  if (limits_.size() < kKeptLimits) limits_.push_back(e);
}

/// What waits in an accept queue has no file that could be closed: somebody has accepted it, in a way that no hook sees
/// (a multishot request of io_uring), or before we were ready.
void Tracker::accepted_unseen(SocketRecord& socket, const Task& closer) {
  counters_.add(Counter::accepts_unseen);
  socket.unaccepted = false;
  // Who lived before it arrived has not inherited it.
  const bool received = std::any_of(socket.received.begin(), socket.received.end(),
                                    [&](const Reception& reception) { return reception.by == closer.process; });
  if (closer.process.start_ns <= socket.created.ns && !received) socket.creator = closer;
  enter_site(socket);
}

SocketRecord* Tracker::find(SocketId id) {
  const auto found = sockets_.find(id);
  return found == sockets_.end() ? nullptr : &found->second;
}

SocketRecord* Tracker::insert(SocketRecord record) {
  if (sockets_.size() >= options_.max_sockets) {
    counters_.add(Counter::sockets_evicted);
    return nullptr;
  }
  const SocketId id = record.id;
  return &sockets_.insert_or_assign(id, std::move(record)).first->second;
}

/// A socket whose creation nobody reported: open since before we came, or a passive open still in its queue.
SocketRecord* Tracker::first_sight(SocketId id, KernelTime time, const Addresses& addresses, bool unaccepted) {
  SocketRecord record;
  record.id = id;
  record.origin = unaccepted ? Origin::kAccept : Origin::kBeforeAttach;
  record.unaccepted = unaccepted;
  record.created = time;
  record.state_since = time;
  record.addresses = addresses;
  SocketRecord* socket = insert(std::move(record));
  if (socket != nullptr && !unaccepted) enter_site(*socket);
  return socket;
}

void Tracker::set_state(SocketRecord& socket, TcpState to, KernelTime time) {
  if (socket.state != to) socket.state_since = time;
  socket.state = to;
  if (to != TcpState::kCloseWait) {
    socket.close_wait_since.reset();
  } else if (!socket.close_wait_since) {
    socket.close_wait_since = time;
  }
}

void Tracker::set_origin(SocketRecord& socket, Origin origin) {
  forget_in_site(socket);
  socket.origin = origin;
  enter_site(socket);
}

void Tracker::set_listener(SocketRecord& socket, SocketId listener) {
  if (listener.value == 0 || socket.listener.value != 0 || listener == socket.id) return;
  socket.listener = listener;
  if (const SocketRecord* record = find(listener)) socket.listener_stack = record->stack;
}

/// Ports vanish again when a connection breaks: what was known of it stays. The protocol never changes: it is part of
/// the site's key.
void Tracker::update(SocketRecord& socket, const Addresses& addresses, NetnsId netns) {
  if (netns.value != 0) socket.netns = netns;
  Addresses& known = socket.addresses;
  if (addresses.local.port != 0 || known.local.family == Family::kUnspecified) known.local = addresses.local;
  if (addresses.remote.port != 0 || known.remote.family == Family::kUnspecified) known.remote = addresses.remote;
}

/// The running snapshot has found the socket; the holders of an older one are no longer true.
void Tracker::confirm(SocketRecord& socket) {
  if (socket.snapshot == snapshots_begun_) return;
  socket.snapshot = snapshots_begun_;
  socket.holders.clear();
}

/// Every holder tells the same, and the table of sockets tells it, too.
void Tracker::note_facts(SocketId id, const SocketFacts& facts) {
  if (facts.known) facts_.insert_or_assign(id, facts);
}

/// Whoever holds a socket that nobody was seen making: the oldest process, for children inherit.
void Tracker::note_first_holder(SocketRecord& socket, const ProcessId& process) const {
  if (creator_known(socket) || socket.first_holder == process) return;
  const bool first = socket.first_holder.pid.value == 0;
  if (first || (socket.first_seen_in == snapshots_begun_ && process.start_ns < socket.first_holder.start_ns)) {
    socket.first_holder = process;
  }
  if (first) socket.first_seen_in = static_cast<std::uint32_t>(snapshots_begun_);
}

void Tracker::keep_holder(SocketRecord& socket, const SnapshotHolder& holder) {
  if (socket.holders.size() >= kKeptHolders) return;
  socket.holders.push_back({.process = holder.task.process, .tid = holder.task.tid, .comm = holder.comm, .fd = holder.fd,
                            .close_on_exec = holder.close_on_exec, .via = holder.via});
}

void Tracker::enter_site(const SocketRecord& socket) {
  Site& entered = site(site_of(socket));
  ++entered.created;
  ++entered.live;
  entered.live_minima.change(now_, entered.live);
  if (socket.origin != Origin::kBeforeAttach) ++totals_.created;
}

Site& Tracker::leave_site(const SocketRecord& socket) {
  Site& left = site(site_of(socket));
  --left.live;
  left.live_minima.change(now_, left.live);
  return left;
}

/// As if the socket had never been counted: it belongs to another site.
void Tracker::forget_in_site(const SocketRecord& socket) {
  --leave_site(socket).created;
  if (socket.origin != Origin::kBeforeAttach) --totals_.created;
}

Site& Tracker::site(const SiteKey& key) {
  return sites_.try_emplace(key, options_.growth_window).first->second;
}

StackId Tracker::resolve(StackHash hash) {
  if (hash.value != 0 && !stacks_.knows(hash)) counters_.add(Counter::stacks_unresolved);
  return stacks_.find(hash);
}

}  // namespace sockleak
