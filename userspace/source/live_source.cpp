#include "source/live_source.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/epoll.h>
#include <time.h>

#include <array>
#include <cstring>
#include <deque>
#include <map>
#include <optional>

#include "base/log.hpp"
#include "process/procfs.hpp"
#include "source/kernel_features.hpp"
#include "source/kernel_tables.hpp"
#include "source/memory_map_feed.hpp"
#include "source/programs.hpp"
#include "source/socket_names.hpp"
#include "source/stack_feed.hpp"

namespace sockleak {
namespace {

// How long an event waits for its stack; a processor finishes a record it has reserved within microseconds, unless a
// hypervisor stops it in between.
constexpr Duration kLongestHold = std::chrono::seconds(1);

using Ring = CPtr<ring_buffer, &ring_buffer__free>;

KernelTime now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return {static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec)};
}

template <typename T>
T mark(std::uint16_t type, KernelTime when) {
  T record{};
  record.header.size = sizeof(T);
  record.header.type = type;
  record.header.ktime_ns = when.ns;
  return record;
}

template <typename T>
std::span<const std::byte> bytes_of(const T& record) {
  return std::as_bytes(std::span(&record, 1));
}

sl_header header_of(std::span<const std::byte> record) {
  sl_header header{};
  if (record.size() >= sizeof(header)) std::memcpy(&header, record.data(), sizeof(header));
  return header;
}

sl_snapshot_mark snapshot_end(bool whole) {
  auto record = mark<sl_snapshot_mark>(SL_SNAPSHOT_END, now());
  record.complete = whole ? 1 : 0;
  return record;
}

// libbpf's own words go to the debug log; what the user needs is said by our errors.
int log_libbpf(libbpf_print_level, const char* format, va_list arguments) {
  std::array<char, 1024> line{};
  const int n = std::vsnprintf(line.data(), line.size(), format, arguments);
  if (n > 0) log::debug(line.data());
  return n;
}

class AttachedSource final : public LiveSource {
 public:
  AttachedSource(const LiveOptions& options, ModuleStore& modules)
      : options_(options), maps_feed_(addresses_, modules), stacks_feed_(modules, addresses_, maps_feed_) {}

  Result<void> attach();
  Result<Progress> poll(RecordSink& sink, Duration timeout) override;
  Result<void> snapshot(RecordSink& sink) override;
  Counters losses() override;
  std::vector<HookFact> hooks() const override;
  StackCost stack_cost() override;
  void note_command_end(RecordSink& sink, Pid pid, int wait_status) override;
  int descriptor() const override { return epoll_.get(); }
  bool targets_live() override { return !live_.empty(); }

 private:
  Result<void> open_rings();
  Result<void> add_target(Pid pid);
  void add_children(Pid pid);
  bool read_tables(const KernelTables::Record& record);  // false: not to the end
  std::size_t drain(RecordSink& sink);
  void on_event(std::span<const std::byte> record);
  void deliver(std::span<const std::byte> record);
  bool lacks_stack(std::span<const std::byte> record);
  void deliver_held();
  void follow_processes(std::span<const std::byte> record);
  void release_address_space(Pid pid);
  std::uint64_t kernel_counter(std::uint32_t index) const;
  static std::optional<StackHash> stack_of(std::span<const std::byte> record);

  LiveOptions options_;
  Procfs procfs_;
  AddressMap addresses_;
  MemoryMapFeed maps_feed_;
  StackFeed stacks_feed_;
  // Destroyed in reverse: rings before the programs whose maps they use.
  Programs programs_;
  Ring events_, stacks_;
  UniqueFd epoll_;
  RecordSink* sink_ = nullptr;   // during poll() and snapshot() only
  std::size_t delivered_ = 0;
  std::vector<std::vector<std::byte>> backlog_;  // what attach() saw, delivered by the first poll()
  std::deque<std::vector<std::byte>> held_;      // events that came before the stack that the first of them names
  KernelTime held_since_;
  std::map<Pid, AddressSpaceId> live_;
  std::map<AddressSpaceId, std::size_t> space_users_;
  std::uint32_t next_asid_ = 1;
};

Result<void> AttachedSource::attach() {
  libbpf_set_print(log_libbpf);
  const Programs::Settings settings{.follow_children = options_.follow_children,
                                    .copy_stacks = options_.copy_stacks, .hooks = options_.hooks};
  if (auto ok = programs_.load(settings); !ok) return ok;
  stacks_feed_.use({bpf_map__fd(programs_->maps.sl_rules), bpf_map__fd(programs_->maps.sl_seen),
                    &programs_->bss->sl_rule_generation});
  for (const Pid pid : options_.pids) {
    if (auto ok = add_target(pid); !ok) return ok;
  }
  if (auto ok = open_rings(); !ok) return ok;
  if (!maps_feed_.open_events()) {
    log::warning("perf events are refused: stacks of very short-lived programs may lack names");
  }
  programs_->bss->sl_adopting = 1;
  if (auto ok = programs_.attach(); !ok) return ok;
  // Children made before the fork hook was there; later ones are found by the hook.
  if (options_.follow_children) {
    for (const Pid pid : options_.pids) add_children(pid);
  }
  for (const auto& [pid, asid] : live_) maps_feed_.follow(pid, now());
  stacks_feed_.warm_up();
  for (const Pid pid : options_.pids) {
    if (!procfs_.exists(pid)) {
      return fail(ErrorKind::kCannotTrace, "process " + std::to_string(pid.value) + " ended while attaching",
                  "start it under sockleak: sockleak trace -- COMMAND");
    }
  }
  // From here on nothing is missed; what the targets already hold is adopted now. Three passes leave no gap: the first
  // marks the listeners, so that every later connection is tracked from birth; the second finds those that wait in
  // accept queues; the third those accepted in between.
  const auto keep = [this](std::span<const std::byte> record) { backlog_.emplace_back(record.begin(), record.end()); };
  keep(bytes_of(mark<sl_session_mark>(SL_SESSION_BEGIN, now())));
  for (const bool sockets_too : {false, true}) {
    if (programs_.need_named_sockets()) {
      for (const auto& [pid, asid] : live_) name_sockets(pid);
    }
    keep(bytes_of(mark<sl_snapshot_mark>(SL_SNAPSHOT_BEGIN, now())));
    const bool whole = sockets_too ? read_tables(keep) : programs_.tables().read_holders(keep);
    keep(bytes_of(snapshot_end(whole)));
  }
  programs_->bss->sl_adopting = 0;
  return {};
}

Result<void> AttachedSource::open_rings() {
  const auto to_event = [](void* self, void* data, std::size_t size) -> int {
    static_cast<AttachedSource*>(self)->on_event({static_cast<const std::byte*>(data), size});
    return 0;
  };
  const auto to_stack = [](void* self, void* data, std::size_t size) -> int {
    auto* source = static_cast<AttachedSource*>(self);
    source->stacks_feed_.on_record({static_cast<const std::byte*>(data), size}, *source->sink_);
    return 0;
  };
  events_.reset(ring_buffer__new(bpf_map__fd(programs_->maps.sl_events), to_event, this, nullptr));
  stacks_.reset(ring_buffer__new(bpf_map__fd(programs_->maps.sl_stacks), to_stack, this, nullptr));
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!events_ || !stacks_ || !epoll_.valid()) return fail_os(ErrorKind::kCannotTrace, "cannot map the ring buffers");
  for (ring_buffer* ring : {events_.get(), stacks_.get()}) {
    epoll_event interest{.events = EPOLLIN, .data = {}};
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, ring_buffer__epoll_fd(ring), &interest) != 0) {
      return fail_os(ErrorKind::kCannotTrace, "cannot wait for the ring buffers");
    }
  }
  return {};
}

Result<void> AttachedSource::add_target(Pid pid) {
  struct {
    std::uint32_t asid, reserved;
    std::uint64_t start_ns;  // 0: whatever runs under this pid now
  } target{next_asid_++, 0, 0};
  if (bpf_map_update_elem(bpf_map__fd(programs_->maps.sl_targets), &pid.value, &target, BPF_NOEXIST) != 0) {
    if (errno == EEXIST) return {};
    return fail_os(ErrorKind::kCannotTrace, "cannot watch process " + std::to_string(pid.value));
  }
  live_[pid] = AddressSpaceId{target.asid};
  ++space_users_[AddressSpaceId{target.asid}];
  return {};
}

void AttachedSource::add_children(Pid pid) {
  for (const Pid child : procfs_.children(pid)) {
    if (live_.contains(child)) continue;
    if (add_target(child)) add_children(child);
  }
}

bool AttachedSource::read_tables(const KernelTables::Record& record) {
  std::map<NetnsId, UniqueFd> namespaces;
  const auto own = procfs_.netns(Pid{static_cast<std::uint32_t>(getpid())});
  for (const auto& [pid, asid] : live_) {
    const auto ns = procfs_.netns(pid);
    if (!ns || ns == own || namespaces.contains(*ns)) continue;
    if (UniqueFd fd = procfs_.open_netns(pid); fd.valid()) namespaces.emplace(*ns, std::move(fd));
  }
  std::vector<UniqueFd> others;
  for (auto& [id, fd] : namespaces) others.push_back(std::move(fd));
  const bool sockets = programs_.tables().read_sockets(others, record);
  return programs_.tables().read_holders(record) && sockets;
}

Result<Progress> AttachedSource::poll(RecordSink& sink, Duration timeout) {
  if (!backlog_.empty()) {
    for (const auto& record : backlog_) sink.on_record(record);
    backlog_.clear();
    drain(sink);
    return Progress::kDelivered;
  }
  std::array<epoll_event, 2> ready{};
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  if (epoll_wait(epoll_.get(), ready.data(), ready.size(), static_cast<int>(wait)) < 0 && errno != EINTR) {
    return fail_os(ErrorKind::kCannotTrace, "cannot wait for the ring buffers");
  }
  return drain(sink) > 0 ? Progress::kDelivered : Progress::kIdle;
}

std::size_t AttachedSource::drain(RecordSink& sink) {
  sink_ = &sink;
  delivered_ = 0;
  maps_feed_.drain();
  ring_buffer__consume(stacks_.get());
  deliver_held();
  ring_buffer__consume(events_.get());
  sink_ = nullptr;
  return delivered_;
}

void AttachedSource::on_event(std::span<const std::byte> record) {
  if (held_.empty() && !lacks_stack(record)) return deliver(record);
  if (held_.empty()) held_since_ = now();
  held_.emplace_back(record.begin(), record.end());
}

/// A stack is sent before the event that names it, but through another ring, where it may still wait behind a record
/// that another processor has reserved and not finished.
bool AttachedSource::lacks_stack(std::span<const std::byte> record) {
  const auto stack = stack_of(record);
  if (!stack || stacks_feed_.claim(*stack)) return false;
  ring_buffer__consume(stacks_.get());
  return !stacks_feed_.claim(*stack);
}

void AttachedSource::deliver_held() {
  while (!held_.empty()) {
    if (lacks_stack(held_.front()) && now() - held_since_ < kLongestHold) return;
    deliver(held_.front());
    held_.pop_front();
    held_since_ = now();
  }
}

void AttachedSource::deliver(std::span<const std::byte> record) {
  follow_processes(record);
  ++delivered_;
  sink_->on_record(record);
}

std::optional<StackHash> AttachedSource::stack_of(std::span<const std::byte> record) {
  const sl_header header = header_of(record);
  std::size_t at = 0;
  if (header.type == SL_SOCKET_CREATED) at = offsetof(sl_socket_created, stack);
  if (header.type == SL_SOCKET_ACCEPTED) at = offsetof(sl_socket_accepted, stack);
  if (header.type == SL_SOCKET_CLOSED) at = offsetof(sl_socket_closed, stack);
  std::uint64_t hash = 0;
  if (at != 0 && record.size() >= at + sizeof(hash)) std::memcpy(&hash, record.data() + at, sizeof(hash));
  return hash == 0 ? std::nullopt : std::optional(StackHash{hash});
}

void AttachedSource::follow_processes(std::span<const std::byte> record) {
  const sl_header header = header_of(record);
  const Pid pid{header.tgid};
  if (header.type == SL_PROCESS_FORKED && record.size() >= sizeof(sl_process_forked)) {
    sl_process_forked forked{};
    std::memcpy(&forked, record.data(), sizeof(forked));
    const Pid child{forked.child_tgid};
    maps_feed_.follow_child(pid, child, KernelTime{header.ktime_ns});
    live_[child] = AddressSpaceId{forked.asid};
    ++space_users_[AddressSpaceId{forked.asid}];
  } else if (header.type == SL_PROCESS_EXECED && record.size() >= sizeof(sl_process_execed)) {
    sl_process_execed execed{};
    std::memcpy(&execed, record.data(), sizeof(execed));
    release_address_space(pid);
    live_[pid] = AddressSpaceId{execed.asid};
    ++space_users_[AddressSpaceId{execed.asid}];
  } else if (header.type == SL_PROCESS_EXITED) {
    release_address_space(pid);
    addresses_.exit(pid, KernelTime{header.ktime_ns});
    addresses_.forget_before(KernelTime{header.ktime_ns - std::min<std::uint64_t>(header.ktime_ns, 5'000'000'000)});
  }
}

void AttachedSource::release_address_space(Pid pid) {
  const auto process = live_.find(pid);
  if (process == live_.end()) return;
  const AddressSpaceId asid = process->second;
  live_.erase(process);
  if (--space_users_[asid] > 0) return;
  space_users_.erase(asid);
  stacks_feed_.forget(asid);
}

Result<void> AttachedSource::snapshot(RecordSink& sink) {
  do {
    drain(sink);
  } while (!held_.empty());
  sink.on_record(bytes_of(mark<sl_snapshot_mark>(SL_SNAPSHOT_BEGIN, now())));
  const bool whole = read_tables([&sink](std::span<const std::byte> record) { sink.on_record(record); });
  drain(sink);  // closes that happened while the tables were read
  sink.on_record(bytes_of(snapshot_end(whole)));
  return {};
}

void AttachedSource::note_command_end(RecordSink& sink, Pid pid, int wait_status) {
  auto record = mark<sl_session_mark>(SL_COMMAND_ENDED, now());
  record.header.tgid = pid.value;
  record.header.tid = pid.value;
  record.status = wait_status;
  sink.on_record(bytes_of(record));
}

std::uint64_t AttachedSource::kernel_counter(std::uint32_t index) const {
  const int cpus = libbpf_num_possible_cpus();
  std::vector<std::uint64_t> values(cpus > 0 ? static_cast<std::size_t>(cpus) : 1);
  if (bpf_map_lookup_elem(bpf_map__fd(programs_->maps.sl_counters), &index, values.data()) != 0) return 0;
  std::uint64_t sum = 0;
  for (const std::uint64_t value : values) sum += value;
  return sum;
}

Counters AttachedSource::losses() {
  Counters losses = stacks_feed_.losses();
  losses.merge(maps_feed_.losses());
  losses.add(Counter::events_lost, kernel_counter(SL_COUNTER_EVENT_RING_FULL));
  losses.add(Counter::stacks_lost, kernel_counter(SL_COUNTER_STACK_RING_FULL));
  losses.add(Counter::sockets_untracked, kernel_counter(SL_COUNTER_STORAGE_FULL));
  losses.add(Counter::processes_untracked, kernel_counter(SL_COUNTER_TARGETS_FULL));
  losses.add(Counter::stack_table_full, kernel_counter(SL_COUNTER_SEEN_FULL));
  losses.add(Counter::stacks_unreadable, kernel_counter(SL_COUNTER_WALK_READ_FAILED));
  losses.add(Counter::stacks_insane, kernel_counter(SL_COUNTER_WALK_INSANE));
  losses.add(Counter::stacks_contended, kernel_counter(SL_COUNTER_WALK_CONTENDED));
  losses.add(Counter::stacks_too_deep, kernel_counter(SL_COUNTER_WALK_DEPTH));
  losses.add(Counter::accepts_without_cookie, kernel_counter(SL_COUNTER_ACCEPT_WITHOUT_COOKIE));
  losses.add(Counter::compat_tasks, kernel_counter(SL_COUNTER_COMPAT_TASK));
  losses.add(Counter::hand_overs_cut, kernel_counter(SL_COUNTER_HAND_OVERS_CUT));
  losses.add(Counter::mappings_dropped, addresses_.dropped());
  return losses;
}

std::vector<HookFact> AttachedSource::hooks() const { return programs_.attached(); }

LiveSource::StackCost AttachedSource::stack_cost() {
  return {kernel_counter(SL_COUNTER_STACKS_WALKED), kernel_counter(SL_COUNTER_STACKS_RECALLED),
          kernel_counter(SL_COUNTER_WALK_MISSED), stacks_feed_.rules_installed()};
}

}  // namespace

Result<std::unique_ptr<LiveSource>> LiveSource::attach(const LiveOptions& options, ModuleStore& modules) {
  if (auto ok = check_required(probe_basics()); !ok) return tl::unexpected(ok.error());
  auto source = std::make_unique<AttachedSource>(options, modules);
  if (auto ok = source->attach(); !ok) return tl::unexpected(ok.error());
  return source;
}

}  // namespace sockleak
