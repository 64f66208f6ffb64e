#include "source/stack_feed.hpp"

#include <bpf/bpf.h>

#include <time.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "source/stack_mentions.hpp"

namespace sockleak {
namespace {

constexpr std::uint64_t kPcMask = (1ULL << SL_ASID_SHIFT) - 1;

// A walk that was under way when its rules were taken back may end, and be told, a little later.
constexpr Duration kLongestWalk = std::chrono::milliseconds(10);

template <typename T>
bool copy_head(std::span<const std::byte> record, T& head) {
  if (record.size() < sizeof(T)) return false;
  std::memcpy(&head, record.data(), sizeof(T));
  return true;
}

/// Confirms no guess.
struct NoCode final : CodeOracle {
  [[nodiscard]] bool is_code(std::uint64_t) const override { return false; }
  [[nodiscard]] bool follows_call(std::uint64_t) const override { return false; }
};

RawStack frames_of(const __u64* frames, std::uint16_t count, std::uint8_t end) {
  return {{frames, frames + std::min<std::size_t>(count, SL_MAX_FRAMES)}, static_cast<WalkEnd>(end), {}};
}

}  // namespace

void StackFeed::on_record(std::span<const std::byte> record, RecordSink& sink) {
  sl_header header{};
  if (!copy_head(record, header)) {
    losses_.add(Counter::records_malformed);
    return;
  }
  const Pid pid{header.tgid};
  const KernelTime when{header.ktime_ns};
  feed_.drain();
  if (header.type == SL_PYTHON_CODE || header.type == SL_PYTHON_STACK) {
    python_.on_record(header, record);
    return;
  }
  if (header.type == SL_JAVA_STACK) {
    java_.on_record(record);
    return;
  }
  if (header.type == SL_STACK_SEEN) {
    sl_stack_seen seen{};
    if (!copy_head(record, seen)) {
      losses_.add(Counter::records_malformed);
      return;
    }
    RawStack raw = frames_of(seen.frames, seen.count, seen.end);
    raw.interpreted = java_.take(seen.stack);
    if (raw.end == WalkEnd::kMissingRule) losses_.add(Counter::stacks_without_rule);
    if ((header.flags & SL_STACK_LOGICAL) == 0) {
      losses_.add(Counter::frames_unverified, unwinder_.unverified(pid, when, raw));
    }
    const AddressSpaceId asid{seen.asid};
    if (AddressSpace* space = space_of(asid, pid, when)) space->hashes.insert(seen.stack);
    MappedStack placed = place(pid, when, raw);
    const bool logical = (header.flags & SL_STACK_LOGICAL) != 0;
    if (logical) go_.leave_out_inlined(placed);
    const std::size_t native = placed.frames.size();
    python_.merge(asid, seen.stack, raw, placed);
    const bool plain = !logical && placed.frames.size() == native;  // also one that was cut: the next library's may be whole
    known_.put(seen.stack, {asid, pid, when, plain ? raw : RawStack{}});
    java_.unfold(placed);
    sink.on_stack(StackHash{seen.stack}, placed);
    return;
  }
  sl_stack_missed missed{};
  if (header.type != SL_STACK_MISSED || !copy_head(record, missed) ||
      missed.length > record.size() - sizeof(sl_stack_missed)) {
    losses_.add(Counter::records_malformed);
    return;
  }
  const AddressSpaceId asid{missed.asid};
  const bool lives = space_of(asid, pid, when) != nullptr;
  RawStack raw = frames_of(missed.frames, missed.count, SL_WALK_MISSING_RULE);
  raw.interpreted = java_.take(missed.stack);
  StackCopy copy;
  copy.pc = missed.pc;
  copy.sp = missed.sp;
  copy.bp = missed.bp;
  copy.interrupted = missed.interrupted != 0;
  copy.bytes = record.subspan(sizeof(sl_stack_missed), missed.length);
  copy.wanted = missed.wanted;
  if (java_.is_java(pid, when) || jit_.is_runtime(pid, when)) {
    feed_.read_again(pid, when);
  } else if (addresses_.find(pid, when, missed.pc) == nullptr) {
    feed_.refresh(pid, when);
  }
  if (lives) examine(asid, pid, when);
  const WalkedStack walked =
      unwinder_.walk(pid, when, copy, SL_MAX_FRAMES - raw.frames.size(),
                     [&](std::uint64_t pc, const UnwindRule& rule) {
                       if (lives && !replaced_.is_gone(pid, when, pc)) learn(asid, pc, rule);
                     });
  const std::size_t missed_at = raw.frames.empty() ? 0 : raw.frames.size() - 1;
  for (InterpretedFrame frame : walked.stack.interpreted) {
    frame.frame += missed_at;
    raw.interpreted.push_back(frame);
  }
  raw.frames.insert(raw.frames.end(), walked.stack.frames.begin(), walked.stack.frames.end());
  raw.end = walked.stack.end;
  losses_.add(Counter::stacks_copied);
  losses_.add(Counter::frames_unverified, walked.unverified);
  if (raw.end == WalkEnd::kMissingRule) losses_.add(Counter::stacks_without_rule);
  if (raw.end == WalkEnd::kReadFailed) losses_.add(Counter::stacks_unreadable);
  if (raw.end == WalkEnd::kInsane) losses_.add(Counter::stacks_insane);
  tickets_.put(missed.stack, true);
  MappedStack placed = place(pid, when, raw);
  python_.merge(asid, missed.stack, raw, placed);
  java_.unfold(placed);
  sink.on_stack(StackHash{missed.stack}, placed);
}

void StackFeed::learn(AddressSpaceId asid, std::uint64_t pc, const UnwindRule& rule) {
  const std::uint64_t key = (pc & kPcMask) | (static_cast<std::uint64_t>(asid.value) << SL_ASID_SHIFT);
  if (!installed_.try_emplace(key, rule).second) return;
  UnwindRule installed = rule;
  if (python_.is_loop(asid, pc)) installed.kind |= SL_RULE_PYTHON;
  const auto install = [&] { return bpf_map_update_elem(maps_.rules, &key, &installed, BPF_ANY) == 0; };
  if (!install() && !(make_room_for_rules(asid) && install())) {
    installed_.erase(key);  // this path stays on the slow way
    losses_.add(Counter::rules_given_up);
    return;
  }
  ++rules_installed_;
  spaces_[asid].rules.push_back(key);
}

void StackFeed::drop_rules(AddressSpace& space) {
  for (const std::uint64_t key : space.rules) {
    bpf_map_delete_elem(maps_.rules, &key);
    installed_.erase(key);
  }
  space.rules.clear();
}

/// Takes the rules of whoever has been silent longest; a walk that lacks them gets them again.
bool StackFeed::make_room_for_rules(AddressSpaceId asid) {
  AddressSpace* silent = nullptr;
  for (auto& [id, space] : spaces_) {
    if (id == asid || space.rules.empty()) continue;
    if (silent == nullptr || space.used < silent->used) silent = &space;
  }
  if (silent == nullptr) return false;
  losses_.add(Counter::rules_given_up, silent->rules.size());
  drop_rules(*silent);
  return true;
}

/// Nullptr: it has ended, and what is kept of it now would stay for good.
StackFeed::AddressSpace* StackFeed::space_of(AddressSpaceId asid, Pid pid, KernelTime when) {
  if (ended_.find(asid) != nullptr) return nullptr;
  spaces_of_[pid] = asid;
  AddressSpace& space = spaces_[asid];
  space.used = when;
  return &space;
}

/// No event has named it for long. The kernel side sends it again, should one come.
void StackFeed::forget(std::uint64_t hash, const Known& known) {
  const auto space = spaces_.find(known.asid);
  if (space == spaces_.end() || space->second.hashes.erase(hash) == 0) return;
  bpf_map_delete_elem(maps_.seen, &hash);
  ++*maps_.rule_generation;  // what walks remember of it is no longer good
}

void StackFeed::take_back(Pid pid, KernelTime when, std::uint64_t start, std::uint64_t end) {
  ReplacedCode::Change change{.when = when, .noticed = {}, .start = start, .end = end, .old_rules = {}};
  if (const auto of = spaces_of_.find(pid); of != spaces_of_.end()) {
    std::erase_if(spaces_[of->second].rules, [&](std::uint64_t key) {
      const std::uint64_t pc = key & kPcMask;
      if (pc <= start || pc > end) return false;
      bpf_map_delete_elem(maps_.rules, &key);
      change.old_rules.emplace(pc, installed_.at(key));
      installed_.erase(key);
      return true;
    });
    if (!change.old_rules.empty()) ++*maps_.rule_generation;
  }
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  change.noticed.ns = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
  change.noticed = change.noticed + kLongestWalk;
  replaced_.note(pid, std::move(change));
}

void StackFeed::renew(std::span<const std::byte> event, RecordSink& sink) {
  sl_header header{};
  if (!copy_head(event, header)) return;
  Pid pid{header.tgid};
  KernelTime when{header.ktime_ns};
  if (sl_socket_touched touched{}; header.type == SL_SOCKET_TOUCHED && copy_head(event, touched)) {
    pid = Pid{touched.touch.tgid};
    when = KernelTime{touched.touch.ktime_ns};
  }
  feed_.drain_until(when);
  for (const auto& [since, start, end] : java_.verify(pid, when)) take_back(pid, since, start, end);
  if (replaced_.empty() && !java_.is_java(pid, when)) return;
  (void)StackMentions(event).all([&](StackHash stack) {
    renew(stack, pid, when, sink);
    return true;
  });
}

void StackFeed::renew(StackHash hash, Pid pid, KernelTime when, RecordSink& sink) {
  Known* entry = known_.find(hash.value);
  if (entry == nullptr || entry->raw.frames.empty()) return;
  Known& known = *entry;
  if (known.pid == pid && !replaced_.between(pid, known.when, when, known.raw.frames) &&
      !java_.methods_replaced(pid, known.when, when, known.raw.interpreted)) {
    return;
  }
  known.pid = pid;
  known.when = when;
  MappedStack placed = place(pid, when, known.raw);
  java_.unfold(placed);
  sink.on_stack(hash, placed);
}

/// A frame whose rule the kernel side may have had from other code: what lies beyond is not told.
void StackFeed::cut_where_doubtful(Pid pid, KernelTime when, const RawStack& raw, MappedStack& placed) {
  for (std::size_t i = 0; i < placed.frames.size(); ++i) {
    const MappedFrame& frame = placed.frames[i];
    if (frame.module == ModuleStore::kUnknown || frame.module.value >= modules_.size()) continue;
    const WalkState state{.pc = raw.frames[i], .sp = 0, .bp = 0};
    const UnwindRule right = compiler_.compile(frame.module, frame.address, state, StackCopy{}, NoCode{});
    if (!replaced_.is_doubtful(pid, when, raw.frames[i], right)) continue;
    placed.frames.resize(i + 1);
    placed.end = WalkEnd::kInsane;
    losses_.add(Counter::stacks_insane);
    return;
  }
}

/// The frame of code that was made at run time, if a runtime is known to have made it.
std::optional<MappedFrame> StackFeed::runtime_frame(Pid pid, KernelTime when, const RawStack& raw, std::size_t index,
                                                    bool& doubtful) {
  const auto words = std::ranges::find(raw.interpreted, index, &InterpretedFrame::frame);
  const InterpretedFrame* interpreted = words == raw.interpreted.end() ? nullptr : &*words;
  if (auto frame = java_.name(pid, when, raw.frames[index], interpreted, doubtful)) return frame;
  return jit_.name(pid, when, raw.frames[index]);
}

MappedStack StackFeed::place(Pid pid, KernelTime when, const RawStack& raw) {
  MappedStack placed;
  placed.end = raw.end;
  placed.frames.reserve(raw.frames.size());
  for (std::size_t i = 0; i < raw.frames.size(); ++i) {
    const std::uint64_t address = raw.frames[i];
    const Mapping* mapping = addresses_.find(pid, when, address);
    if (mapping == nullptr) {
      feed_.refresh(pid, when);
      mapping = addresses_.find(pid, when, address);
    }
    if (mapping != nullptr && mapping->module == ModuleStore::kUnknown) {
      bool doubtful = false;
      if (const auto named = runtime_frame(pid, when, raw, i, doubtful)) {
        placed.frames.push_back(*named);
        if (!doubtful) continue;
        placed.end = WalkEnd::kInsane;
        losses_.add(Counter::stacks_insane);
        break;
      }
    }
    if (mapping == nullptr || mapping->module == ModuleStore::kUnknown) {
      losses_.add(Counter::frames_without_module);
      placed.frames.push_back({ModuleStore::kUnknown, address});
      continue;
    }
    const std::uint64_t offset = mapping->offset + (address - mapping->start);
    const std::uint64_t in_file = modules_.get(mapping->module).address_of_offset(offset);
    placed.frames.push_back({mapping->module, in_file != 0 ? in_file : offset});
  }
  if (!replaced_.empty()) cut_where_doubtful(pid, when, raw, placed);
  return placed;
}

void StackFeed::forget(AddressSpaceId asid) {
  python_.forget(asid);
  go_.forget(asid);
  ended_.put(asid, true);
  const auto space = spaces_.find(asid);
  if (space == spaces_.end()) return;
  drop_rules(space->second);
  // The hashes stay known: what the end of a process closes is told after the end, with stacks from before it.
  for (const std::uint64_t hash : space->second.hashes) bpf_map_delete_elem(maps_.seen, &hash);
  spaces_.erase(space);
  ++*maps_.rule_generation;  // what walks remember of it is no longer good
}

void StackFeed::warm_up() {
  for (std::uint32_t i = 1; i < modules_.size(); ++i) compiler_.warm_up(ModuleId{i});
}

}  // namespace sockleak
