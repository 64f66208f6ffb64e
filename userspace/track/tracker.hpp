// The only mutable model: applies events to the table of open sockets and to the sites. Single thread, no I/O, time
// only from events, so the same events always give the same state.
#pragma once

#include <functional>
#include <map>
#include <unordered_map>
#include <vector>

#include "base/counters.hpp"
#include "event/event.hpp"
#include "stack/stack_store.hpp"
#include "track/goroutines.hpp"
#include "track/process_tree.hpp"
#include "track/site.hpp"
#include "track/socket_record.hpp"

namespace sockleak {

struct TrackerOptions {
  Duration growth_window = std::chrono::seconds(5);
  bool keep_last_closes = false;  // for judging what is closed in the last moments of a process
  std::size_t max_sockets = 4'000'000;  // a record is ~200 bytes; beyond it new sockets are counted as evicted
};

class Tracker {
 public:
  /// `stacks` must outlive the tracker.
  explicit Tracker(const StackStore& stacks, TrackerOptions options = {}) : stacks_(stacks), options_(options) {}

  void apply(const Event& event);

  /// Sockets created or accepted while we watched, and what became of them; `closed` includes `open_at_exit`, those
  /// that only the end of their creating process closed.
  struct Totals { std::uint64_t created = 0, closed = 0, open_at_exit = 0; };
  [[nodiscard]] Totals totals() const { return totals_; }
  /// Open sockets by id. Iteration order is unspecified: sort before showing.
  [[nodiscard]] const std::unordered_map<SocketId, SocketRecord>& sockets() const { return sockets_; }
  [[nodiscard]] const std::map<SiteKey, Site>& sites() const { return sites_; }
  [[nodiscard]] static SiteKey site_of(const SocketRecord& socket) {
    return {socket.stack, socket.origin, socket.addresses.protocol};
  }
  /// Where the socket was last read or written, if that was watched; the stack by its id.
  struct LastTouch { Touch touch; StackId stack = kNoStack; };
  [[nodiscard]] const LastTouch* last_touch(SocketId socket) const;
  /// What the last look found of a socket's use; nullptr = it did not find the socket, or brings no facts.
  [[nodiscard]] const SocketFacts* facts(SocketId socket) const {
    const auto found = facts_.find(socket);
    return found == facts_.end() ? nullptr : &found->second;
  }
  /// Of a unix socket; nullptr = not known.
  [[nodiscard]] const UnixName* unix_name(SocketId socket) const;
  /// In which goroutine it was made; nullptr = not one of Go's, or not known.
  [[nodiscard]] const Goroutine* goroutine(SocketId socket) const { return goroutines_.find(socket); }
  [[nodiscard]] const ProcessTree& processes() const { return processes_; }
  /// Whether the thread was there at the last snapshot; nullopt = nobody has looked.
  [[nodiscard]] std::optional<bool> thread_lives(const Task& task) const;
  /// What the last look beyond descriptors said of an open socket; nullptr = nothing.
  [[nodiscard]] const Plight* plight(SocketId id) const {
    const auto found = plights_.find(id);
    return found == plights_.end() ? nullptr : &found->second;
  }
  /// What it said of processes near their limit of descriptors.
  [[nodiscard]] const std::vector<SnapshotLimit>& limits() const { return limits_; }

  /// Snapshots seen so far; the number of the newest complete one, 0 = none.
  [[nodiscard]] std::uint64_t last_snapshot() const { return last_snapshot_; }
  [[nodiscard]] KernelTime session_begin() const { return session_begin_; }
  [[nodiscard]] KernelTime now() const { return now_; }  // newest time seen
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  void on(const SessionBegan&);
  void on(const CommandEnded&);
  void on(const SocketCreated&);
  void on(const SocketAccepted&);
  void on(const StateChanged&);
  void on(const SocketClosed&);
  void on(const SocketDestroyed&);
  void on(const ProcessForked&);
  void on(const ProcessExeced&);
  void on(const ProcessExited&);
  void on(const ProcessFreed&);
  void on(const DescriptorReceived&);
  void on(const SnapshotBegan&);
  void on(const SnapshotSocket&);
  void on(const SnapshotHolder&);
  void on(const SnapshotEnded&);
  void on(const SocketTouched&);
  void on(const SocketGoroutine&);
  void on(const GoroutineAncestors&);
  void on(const SocketWaited&);
  void on(const SocketNamed&);
  void on(const SnapshotCause&);
  void on(const SnapshotLimit&);
  void on(const SnapshotThread&);

  SocketRecord* find(SocketId id);
  void forget_details(SocketId id) {
    touches_.erase(id);
    unix_names_.erase(id);
    goroutines_.forget(id);
    facts_.erase(id);
  }
  SocketRecord* insert(SocketRecord record);  // nullptr: the table is full
  void accepted_unseen(SocketRecord& socket, const Task& closer);
  SocketRecord* first_sight(SocketId id, KernelTime time, const Addresses& addresses, bool unaccepted);
  static void set_state(SocketRecord& socket, TcpState to, KernelTime time);
  void set_origin(SocketRecord& socket, Origin origin);
  void set_listener(SocketRecord& socket, SocketId listener);
  void confirm(SocketRecord& socket);
  void note_facts(SocketId id, const SocketFacts& facts);
  void note_first_holder(SocketRecord& socket, const ProcessId& process) const;
  static void keep_holder(SocketRecord& socket, const SnapshotHolder& holder);
  static void update(SocketRecord& socket, const Addresses& addresses, NetnsId netns);
  void enter_site(const SocketRecord& socket);
  Site& leave_site(const SocketRecord& socket);
  void forget_in_site(const SocketRecord& socket);
  [[nodiscard]] bool left_by_creator(const SocketRecord& socket, const SocketClosed& close) const;
  void keep_at_exit(Site& site, EndedSocket ended);
  void keep_late(Site& site, EndedSocket ended) const;
  Site& site(const SiteKey& key);
  StackId resolve(StackHash hash);
  void advance(KernelTime time) { if (time > now_) now_ = time; }

  const StackStore& stacks_;
  TrackerOptions options_;
  std::unordered_map<SocketId, SocketRecord> sockets_;
  std::map<SiteKey, Site> sites_;
  ProcessTree processes_;
  std::unordered_map<SocketId, Plight> plights_;  // may name sockets that were closed since
  std::vector<SnapshotLimit> limits_;
  std::unordered_map<SocketId, LastTouch> touches_;
  std::unordered_map<SocketId, UnixName> unix_names_;
  Goroutines goroutines_;
  std::map<std::pair<ProcessId, Pid>, bool> threads_;  // whether creators live; those that do, as of the last snapshot
  std::unordered_map<SocketId, SocketFacts> facts_;  // of the last snapshot
  Totals totals_;
  Counters counters_;
  bool session_began_ = false;
  KernelTime session_begin_;
  KernelTime now_;
  std::uint64_t snapshots_begun_ = 0;
  std::uint64_t last_snapshot_ = 0;
};

}  // namespace sockleak
