// Keeps an AddressMap true for the followed processes: /proc/PID/maps once, then the kernel's memory-map, exec, fork
// and exit records (perf dummy event, one ring per CPU). The records arrive even if the process is gone by the time
// they are read, which is what makes programs of a few milliseconds traceable.
#pragma once

#include <functional>
#include <set>
#include <tuple>
#include <vector>

#include "base/counters.hpp"
#include "base/handle.hpp"
#include "base/recent_map.hpp"
#include "process/procfs.hpp"
#include "stack/address_map.hpp"

namespace sockleak {

class MemoryMapFeed {
 public:
  MemoryMapFeed(AddressMap& addresses, ModuleStore& modules) : addresses_(addresses), modules_(modules) {}
  ~MemoryMapFeed();
  MemoryMapFeed(const MemoryMapFeed&) = delete;
  MemoryMapFeed& operator=(const MemoryMapFeed&) = delete;

  /// Opens the perf rings. Without them (perf_event_open refused) mappings are only re-read on demand; false then.
  bool open_events();
  /// Anybody may turn out to be worth following a moment later: what the others do is kept for a while.
  void keep_others() { keeps_others_ = true; }
  /// Reads what the process maps now and follows it and its children from here on.
  void follow(Pid pid, KernelTime now);
  void follow_child(Pid parent, Pid child, KernelTime when);
  /// The process has ended: its number may come back as another's. Its stacks may still be on their way.
  void end(Pid pid, KernelTime when);
  /// Applies everything that has happened.
  void drain();
  /// The same, unless it has been done since `when`.
  void drain_until(KernelTime when) {
    if (drained_ < when) drain();
  }
  /// An address was not found: re-reads the process's mappings, at most every 100 ms of event time per process.
  void refresh(Pid pid, KernelTime now);
  /// The same at once: for programs that make memory executable afterwards (mprotect), which no event tells.
  void read_again(Pid pid, KernelTime now) { read_maps(pid, now); }

  /// Whoever must know that a process has other code than before between two addresses.
  using OnReplaced = std::function<void(Pid pid, KernelTime when, std::uint64_t start, std::uint64_t end)>;
  void on_replaced(OnReplaced listener) { on_replaced_ = std::move(listener); }

  [[nodiscard]] Counters losses() const { return losses_; }

 private:
  struct Ring {
    UniqueFd fd;
    void* memory = nullptr;
  };
  struct Change {
    KernelTime when;
    std::uint32_t type = 0;
    std::uint16_t misc = 0;
    Pid pid, parent;
    MapsEntry entry;
  };
  void read_ring(Ring& ring, std::vector<Change>& changes);
  void apply(const Change& change);
  void keep(const Change& change);
  void catch_up(Pid pid);
  void read_maps(Pid pid, KernelTime since);
  ModuleId module_of(Pid pid, const MapsEntry& entry);

  AddressMap& addresses_;
  ModuleStore& modules_;
  Procfs procfs_;
  std::vector<Ring> rings_;
  std::set<Pid> followed_;
  bool keeps_others_ = false;
  std::vector<Change> others_;  // oldest first
  RecentMap<Pid, KernelTime> refreshed_{8192};
  std::map<std::tuple<std::uint32_t, std::uint32_t, std::uint64_t, std::string>, ModuleId> known_files_;
  OnReplaced on_replaced_;
  KernelTime drained_{};
  Counters losses_;
};

}  // namespace sockleak
