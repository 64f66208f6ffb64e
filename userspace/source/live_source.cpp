#include "source/live_source.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/epoll.h>

#include <array>
#include <cstring>

#include "base/log.hpp"
#include "kernel/kernel_counters.hpp"
#include "kernel/kernel_features.hpp"
#include "kernel/kernel_tables.hpp"
#include "kernel/libbpf_log.hpp"
#include "kernel/programs.hpp"
#include "kernel/watched_types.hpp"
#include "process/procfs.hpp"
#include "source/backlog.hpp"
#include "source/go_parents.hpp"
#include "source/held_events.hpp"
#include "source/marks.hpp"
#include "source/memory_map_feed.hpp"
#include "source/other_families.hpp"
#include "source/socket_names.hpp"
#include "source/stack_feed.hpp"
#include "source/stack_mentions.hpp"
#include "source/target_table.hpp"
#include "source/touch_feed.hpp"
#include "source/unix_looks.hpp"
#include "source/young_processes.hpp"

namespace sockleak {
namespace {

constexpr Duration kSearchEvery = std::chrono::seconds(1);  // for processes that were moved into a group

using Ring = CPtr<ring_buffer, &ring_buffer__free>;

class AttachedSource final : public LiveSource {
 public:
  AttachedSource(const LiveOptions& options, ModuleStore& modules, NamedFrames& names)
      : options_(options), maps_feed_(addresses_, modules), stacks_feed_(modules, names, addresses_, maps_feed_) {}

  Result<void> attach();
  Result<Progress> poll(RecordSink& sink, Duration timeout) override;
  Result<void> snapshot(RecordSink& sink) override;
  Counters losses() override;
  std::vector<HookFact> hooks() const override;
  StackCost stack_cost() override;
  OtherFamilies other_families() override { return count_others(programs_); }
  void suspect(std::span<const StackHash> makers, std::span<const SocketId> sockets) override;
  void count_uses() override { touches_.count_uses(); }
  void note_command_end(RecordSink& sink, Pid pid, int wait_status) override;
  int descriptor() const override { return epoll_.get(); }
  bool targets_live() override { return !targets_.live().empty(); }

 private:
  Result<void> open_rings();
  void take_newcomers(RecordSink& sink);
  void learn_early();
  void find_members();
  void follow(Pid pid, AddressSpaceId space);
  void on_joined(std::span<const std::byte> record);
  void adopt(const KernelTables::Record& record);
  std::size_t drain(RecordSink& sink);
  void tell_touches(RecordSink& sink);
  void on_event(std::span<const std::byte> record);
  void deliver(std::span<const std::byte> record);
  bool lacks_stack(std::span<const std::byte> record);
  void deliver_held();
  void follow_processes(std::span<const std::byte> record);
  void release(Pid pid);

  LiveOptions options_;
  Procfs procfs_;
  AddressMap addresses_;
  MemoryMapFeed maps_feed_;
  StackFeed stacks_feed_;
  GoParents parents_{stacks_feed_};
  // Destroyed in reverse: rings before the programs whose maps they use.
  Programs programs_;
  TouchFeed touches_{programs_};
  UnixLooks unix_{programs_};
  Ring events_, stacks_;
  UniqueFd epoll_;
  RecordSink* sink_ = nullptr;   // during poll() and snapshot() only
  std::size_t delivered_ = 0;
  Backlog backlog_;  // what attach() saw, delivered by the first poll()
  YoungProcesses young_;
  HeldEvents held_;
  TargetTable targets_;
  std::optional<KernelTime> joined_;  // when the first came that may hold sockets not yet adopted
  KernelTime next_search_;            // for members of the scope
};

Result<void> AttachedSource::attach() {
  libbpf_set_print(log_libbpf);
  const Programs::Settings settings{.follow_children = options_.follow_children,
                                    .copy_stacks = options_.copy_stacks, .hooks = options_.hooks,
                                    .scope = options_.scope, .types = bits_of(options_.types)};
  if (auto ok = programs_.load(settings); !ok) return ok;
  stacks_feed_.use({bpf_map__fd(programs_->maps.sl_rules), bpf_map__fd(programs_->maps.sl_seen),
                    bpf_map__fd(programs_->maps.sl_pythons), &programs_->bss->sl_rule_generation,
                    {bpf_map__fd(programs_->maps.sl_gos), bpf_map__fd(programs_->maps.sl_go_files)}});
  if (options_.program) stacks_feed_.expect(*options_.program);
  targets_.use(bpf_map__fd(programs_->maps.sl_targets));
  for (const Pid pid : options_.pids) {
    if (auto ok = targets_.add(pid); !ok) return ok;
  }
  if (auto ok = open_rings(); !ok) return ok;
  if (!maps_feed_.open_events()) {
    log::warning("perf events are refused: stacks of very short-lived programs may lack names");
  }
  if (options_.scope.members) maps_feed_.keep_others();
  programs_->bss->sl_adopting = SL_ADOPTING_NEWCOMERS;
  if (auto ok = programs_.attach(); !ok) return ok;
  if (options_.watch_touches) {
    touches_.count_uses();
    touches_.watch_all();
  }
  // Children made before the fork hook was there; later ones are found by the hook.
  std::vector<Pid> pids = options_.pids;
  if (options_.scope.members) pids = options_.scope.members();
  for (const Pid pid : pids) {
    if (auto ok = targets_.add(pid); !ok) return ok;
    if (options_.follow_children) targets_.add_children(pid);
  }
  for (const auto& [pid, space] : targets_.live()) follow(pid, space);
  learn_early();
  // Of a whole machine that takes seconds.
  if (options_.scope.kind != Scope::Kind::kAll) stacks_feed_.warm_up();
  for (const Pid pid : options_.pids) {
    if (!procfs_.exists(pid)) {
      return fail(ErrorKind::kCannotTrace, "process " + std::to_string(pid.value) + " ended while attaching",
                  "start it under sockleak: sockleak trace -- COMMAND");
    }
  }
  const auto keep = [this](std::span<const std::byte> record) { backlog_.on_record(record); };
  keep(bytes_of(mark<sl_session_mark>(SL_SESSION_BEGIN, now())));
  adopt(keep);
  next_search_ = now() + kSearchEvery;
  return {};
}

/// A busy target fills the ring for stacks within milliseconds, until it has its rules: it does not wait for what it holds
/// already to be adopted. Members of a scope are told of in the same ring, and have to be adopted in turn.
void AttachedSource::learn_early() {
  if (options_.scope.members) return;
  sink_ = &backlog_;
  maps_feed_.drain();
  ring_buffer__consume(stacks_.get());
  sink_ = nullptr;
}

/// From here on nothing is missed; what the targets already hold is adopted now. Three passes leave no gap: the first
/// marks the listeners, so that every later connection is tracked from birth; the second finds those that wait in
/// accept queues; the third those accepted in between.
void AttachedSource::adopt(const KernelTables::Record& record) {
  const KernelTables& tables = programs_.tables();
  const KernelTime began = now();
  programs_->bss->sl_adopting_from = joined_.value_or(KernelTime{}).ns;
  programs_->bss->sl_adopting = SL_ADOPTING_NEWCOMERS;
  for (const bool sockets_too : {false, true}) {
    learn_early();
    if (programs_.need_named_sockets()) {
      for (const auto& [pid, space] : targets_.live()) name_sockets(pid);
    }
    unix_.begin();
    record(bytes_of(mark<sl_snapshot_mark>(SL_SNAPSHOT_BEGIN, now())));
    const bool whole = sockets_too ? tables.read_all(targets_.other_namespaces(), record) : tables.read_holders(record);
    record(bytes_of(snapshot_end(whole)));
    if (joined_) programs_->bss->sl_listeners_known = began.ns;
  }
  learn_early();
  programs_->bss->sl_adopting = SL_ADOPTING_NOTHING;
  joined_.reset();
}

void AttachedSource::follow(Pid pid, AddressSpaceId space) {
  maps_feed_.follow(pid, now());
  stacks_feed_.examine(space, pid, now());
}

void AttachedSource::take_newcomers(RecordSink& sink) {
  find_members();
  if (joined_) adopt([&sink](std::span<const std::byte> record) { sink.on_record(record); });
}

/// The kernel side knows those that do something; this finds those that hold something.
void AttachedSource::find_members() {
  if (!options_.scope.members || options_.scope.kind == Scope::Kind::kAll || now() < next_search_) return;
  next_search_ = now() + kSearchEvery;
  for (const Pid pid : options_.scope.members()) {
    if (targets_.contains(pid)) continue;
    const KernelTime joined = now();
    if (!targets_.add(pid, joined) || !targets_.contains(pid)) continue;
    follow(pid, targets_.live().at(pid));
    if (!joined_) joined_ = joined;
  }
}

void AttachedSource::on_joined(std::span<const std::byte> record) {
  sl_process_joined joined{};
  if (record.size() < sizeof(joined)) return;
  std::memcpy(&joined, record.data(), sizeof(joined));
  const Pid pid{joined.header.tgid};
  if (targets_.contains(pid)) return;  // has executed a program since, of which we heard first
  targets_.set(pid, AddressSpaceId{joined.asid});
  follow(pid, AddressSpaceId{joined.asid});
  const KernelTime when{joined.header.ktime_ns};  // the ring's order is not that of the times
  joined_ = std::min(joined_.value_or(when), when);
}

Result<void> AttachedSource::open_rings() {
  const auto to_event = [](void* self, void* data, std::size_t size) -> int {
    static_cast<AttachedSource*>(self)->on_event({static_cast<const std::byte*>(data), size});
    return 0;
  };
  const auto to_stack = [](void* self, void* data, std::size_t size) -> int {
    auto* source = static_cast<AttachedSource*>(self);
    const std::span record(static_cast<const std::byte*>(data), size);
    if (header_of(record).type == SL_PROCESS_JOINED) source->on_joined(record);
    else source->stacks_feed_.on_record(record, *source->sink_);
    return 0;
  };
  events_.reset(ring_buffer__new(bpf_map__fd(programs_->maps.sl_events), to_event, this, nullptr));
  stacks_.reset(ring_buffer__new(bpf_map__fd(programs_->maps.sl_stacks), to_stack, this, nullptr));
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!events_ || !stacks_ || !epoll_.valid()) return fail_os(ErrorKind::kCannotTrace, "cannot map the ring buffers");
  if (!young_.open()) return fail_os(ErrorKind::kCannotTrace, "cannot make a timer");
  for (const int fd : {ring_buffer__epoll_fd(events_.get()), ring_buffer__epoll_fd(stacks_.get()), young_.descriptor()}) {
    epoll_event interest{.events = EPOLLIN, .data = {}};
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &interest) != 0) {
      return fail_os(ErrorKind::kCannotTrace, "cannot wait for the ring buffers");
    }
  }
  return {};
}

Result<Progress> AttachedSource::poll(RecordSink& sink, Duration timeout) {
  if (!backlog_.empty()) {
    backlog_.deliver(sink);
    drain(sink);
    return Progress::kDelivered;
  }
  std::array<epoll_event, 3> ready{};
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  if (epoll_wait(epoll_.get(), ready.data(), ready.size(), static_cast<int>(wait)) < 0 && errno != EINTR) {
    return fail_os(ErrorKind::kCannotTrace, "cannot wait for the ring buffers");
  }
  const std::size_t delivered = drain(sink);
  take_newcomers(sink);
  if (held_.empty() && unix_.due(now()) && unix_.look(targets_)) {
    drain(sink);
    unix_.tell_gone(targets_, sink);
  }
  return delivered > 0 ? Progress::kDelivered : Progress::kIdle;
}

std::size_t AttachedSource::drain(RecordSink& sink) {
  sink_ = &sink;
  delivered_ = 0;
  maps_feed_.drain();
  for (const auto& [pid, asid] : young_.due()) stacks_feed_.examine(asid, pid, now());
  ring_buffer__consume(stacks_.get());
  deliver_held();
  ring_buffer__consume(events_.get());
  parents_.pause(sink);
  sink_ = nullptr;
  return delivered_;
}

void AttachedSource::on_event(std::span<const std::byte> record) {
  if (held_.empty() && !lacks_stack(record)) return deliver(record);
  held_.add(record);
}

/// A stack is sent before the event that names it, but through another ring, where it may still wait behind a record
/// that another processor has reserved and not finished.
bool AttachedSource::lacks_stack(std::span<const std::byte> record) {
  const StackMentions mentions(record);
  const auto claimed = [this](StackHash stack) { return stacks_feed_.claim(stack); };
  if (mentions.all(claimed)) return false;
  ring_buffer__consume(stacks_.get());
  return !mentions.all(claimed);
}

void AttachedSource::deliver_held() {
  held_.release([this](auto& event) { return lacks_stack(event); }, [this](auto& event) { deliver(event); });
}

void AttachedSource::deliver(std::span<const std::byte> record) {
  stacks_feed_.renew(record, *sink_);
  follow_processes(record);
  ++delivered_;
  parents_.deliver(record, *sink_);
}

void AttachedSource::follow_processes(std::span<const std::byte> record) {
  const sl_header header = header_of(record);
  const Pid pid{header.tgid};
  if (header.type == SL_PROCESS_FORKED && record.size() >= sizeof(sl_process_forked)) {
    sl_process_forked forked{};
    std::memcpy(&forked, record.data(), sizeof(forked));
    const Pid child{forked.child_tgid};
    maps_feed_.follow_child(pid, child, KernelTime{header.ktime_ns});
    targets_.set(child, AddressSpaceId{forked.asid});
  } else if (header.type == SL_PROCESS_EXECED && record.size() >= sizeof(sl_process_execed)) {
    sl_process_execed execed{};
    std::memcpy(&execed, record.data(), sizeof(execed));
    if (!targets_.contains(pid)) maps_feed_.follow(pid, now());
    release(pid);
    targets_.set(pid, AddressSpaceId{execed.asid});
    young_.watch(pid, AddressSpaceId{execed.asid});
  } else if (header.type == SL_PROCESS_EXITED) {
    release(pid);
    maps_feed_.end(pid, KernelTime{header.ktime_ns});
  }
}

void AttachedSource::release(Pid pid) {
  if (!targets_.contains(pid)) return;
  const auto space = targets_.release(pid);
  stacks_feed_.forget(pid);
  if (space) stacks_feed_.forget(*space);
}

Result<void> AttachedSource::snapshot(RecordSink& sink) {
  do {
    drain(sink);
  } while (!held_.empty());
  next_search_ = {};
  take_newcomers(sink);
  unix_.begin();
  forget_held_others(programs_);
  sink.on_record(bytes_of(mark<sl_snapshot_mark>(SL_SNAPSHOT_BEGIN, now())));
  programs_->bss->sl_adopting_from = 0;
  programs_->bss->sl_adopting = SL_ADOPTING_STRAGGLERS;  // such as what a stranger has handed to a target
  const auto record = [&sink](std::span<const std::byte> bytes) { sink.on_record(bytes); };
  const bool whole = programs_.tables().read_all(targets_.other_namespaces(), record);
  programs_->bss->sl_adopting = SL_ADOPTING_NOTHING;
  drain(sink);  // closes that happened while the tables were read
  if (whole) unix_.tell_gone(targets_, sink);
  tell_touches(sink);
  sink.on_record(bytes_of(snapshot_end(whole)));
  return {};
}

void AttachedSource::suspect(std::span<const StackHash> makers, std::span<const SocketId> sockets) {
  touches_.suspect(makers, sockets);
}

void AttachedSource::tell_touches(RecordSink& sink) {
  touches_.read([this, &sink](sl_socket_touched& record) {
    record.header.ktime_ns = now().ns;
    if (lacks_stack(bytes_of(record))) record.touch.stack = 0;
    sink.on_record(bytes_of(record));
  });
}

void AttachedSource::note_command_end(RecordSink& sink, Pid pid, int wait_status) {
  auto record = mark<sl_session_mark>(SL_COMMAND_ENDED, now());
  record.header.tgid = pid.value;
  record.header.tid = pid.value;
  record.status = wait_status;
  sink.on_record(bytes_of(record));
}

Counters AttachedSource::losses() {
  Counters losses = kernel_losses(bpf_map__fd(programs_->maps.sl_counters));
  losses.merge(stacks_feed_.losses());
  losses.merge(maps_feed_.losses());
  losses.add(Counter::hooks_skipped, programs_.skipped_runs());
  losses.add(Counter::mappings_dropped, addresses_.dropped());
  return losses;
}

std::vector<HookFact> AttachedSource::hooks() const { return programs_.attached(); }

LiveSource::StackCost AttachedSource::stack_cost() {
  const int counters = bpf_map__fd(programs_->maps.sl_counters);
  return {kernel_counter(counters, SL_COUNTER_STACKS_WALKED), kernel_counter(counters, SL_COUNTER_STACKS_RECALLED),
          kernel_counter(counters, SL_COUNTER_WALK_MISSED), stacks_feed_.rules_installed()};
}

}  // namespace

Result<std::unique_ptr<LiveSource>> LiveSource::attach(const LiveOptions& options, ModuleStore& modules,
                                                       NamedFrames& names) {
  if (auto ok = check_required(probe_basics()); !ok) return tl::unexpected(ok.error());
  auto source = std::make_unique<AttachedSource>(options, modules, names);
  if (auto ok = source->attach(); !ok) return tl::unexpected(ok.error());
  return source;
}

}  // namespace sockleak
