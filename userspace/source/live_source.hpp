// The running kernel as an event source: loads and attaches the BPF programs, drains the rings, resolves stacks
// (installing unwind rules as walks miss them) and reads the iterators. Everything is detached when it is destroyed;
// nothing is pinned, so the kernel detaches it too if we are killed.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "event/event.hpp"
#include "kernel/hooks.hpp"
#include "kernel/scope.hpp"
#include "source/event_source.hpp"
#include "source/family_counts.hpp"
#include "stack/module_store.hpp"
#include "stack/named_frames.hpp"

namespace sockleak {

struct LiveOptions {
  std::vector<Pid> pids;         // processes (thread group ids) to watch
  Scope scope;                   // and whom else
  std::vector<Protocol> types;   // which sockets; empty = all
  bool follow_children = true;
  HookSet hooks = HookSet::kAuto;
  bool watch_touches = false;    // count and note the reads and writes of every socket from the start
  std::optional<ModuleId> program;  // what a process among them will execute next, if that is known
  bool copy_stacks = true;       // false: --no-snapshot, never copy user stack bytes
};

class LiveSource : public EventSource {
 public:
  /// Attaches every hook, adopts the sockets the targets already hold, and returns; from then on nothing is missed.
  /// Delivers SL_SESSION_BEGIN first. `modules` and `names` must outlive the source.
  static Result<std::unique_ptr<LiveSource>> attach(const LiveOptions& options, ModuleStore& modules,
                                                    NamedFrames& names);

  [[nodiscard]] virtual std::vector<HookFact> hooks() const = 0;
  /// How many stacks the kernel side had to find, how many of them were walks it remembered, how many user space had to
  /// finish for lack of a rule, and how many rules that took.
  struct StackCost { std::uint64_t walked = 0, recalled = 0, copied = 0, rules = 0; };
  [[nodiscard]] virtual StackCost stack_cost() = 0;
  /// From now on the last reads and writes of these sockets, and of all that these stacks will make, are noted;
  /// snapshots tell them.
  virtual void suspect(std::span<const StackHash> makers, std::span<const SocketId> sockets) = 0;
  /// From now on the uses of every socket are counted; snapshots and closes tell them.
  virtual void count_uses() = 0;
  /// Sockets of families that are not followed, after a snapshot.
  [[nodiscard]] virtual OtherFamilies other_families() = 0;
  /// Writes SL_COMMAND_ENDED into the stream.
  virtual void note_command_end(RecordSink& sink, Pid pid, int wait_status) = 0;
  /// An epoll descriptor that is readable when poll() would deliver something urgent.
  [[nodiscard]] virtual int descriptor() const = 0;
  /// True while at least one target process lives.
  [[nodiscard]] virtual bool targets_live() = 0;
};

}  // namespace sockleak
