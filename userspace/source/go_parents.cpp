// struct g and the list of all of them: src/runtime/runtime2.go and proc.go (allgs) of Go.
#include "source/go_parents.hpp"

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace sockleak {
namespace {

constexpr std::uint64_t kMostGoroutines = 1u << 17;
constexpr std::size_t kMostStack = 64u << 10;
constexpr std::size_t kBatch = 1024;  // UIO_MAXIOV
constexpr std::uint64_t kSched = 56;  // in g
constexpr std::uint32_t kWaiting = 4, kScan = 0x1000;

bool read_memory(Pid pid, std::uint64_t address, std::span<std::byte> out) {
  const iovec local{out.data(), out.size()};
  const iovec remote{reinterpret_cast<void*>(address), out.size()};  // NOLINT: an address of the other process
  return ::process_vm_readv(static_cast<pid_t>(pid.value), &local, 1, &remote, 1, 0) ==
         static_cast<ssize_t>(out.size());
}

template <typename T>
bool read_value(Pid pid, std::uint64_t address, T& value) {
  return read_memory(pid, address, std::as_writable_bytes(std::span(&value, 1)));
}

/// What must stay as it is while its stack is copied.
struct State {
  std::uint64_t goid = 0, sp = 0, pc = 0, bp = 0, high = 0;
  std::uint32_t status = 0;
  friend bool operator==(const State&, const State&) = default;
};

std::optional<State> state_of(Pid pid, const sl_go& go, std::uint64_t g) {
  State state;
  const std::uint64_t saved_bp = g + kSched + go.m_curg - 144u;  // gobuf's last word; m has one gobuf before curg
  const bool read = read_value(pid, g + 8, state.high) && read_value(pid, g + kSched, state.sp) &&
                    read_value(pid, g + kSched + 8, state.pc) && read_value(pid, saved_bp, state.bp) &&
                    read_value(pid, g + go.goid - 8u, state.status) && read_value(pid, g + go.goid, state.goid);
  state.status &= ~kScan;
  return read ? std::optional(state) : std::nullopt;
}

/// 0 = there is none of that number.
std::uint64_t find_goroutine(Pid pid, const GoFeed::Living& living, std::uint64_t goid) {
  std::array<std::uint64_t, 2> list{};  // where, how many
  if (!read_memory(pid, living.allgs, std::as_writable_bytes(std::span(list))) || list[1] > kMostGoroutines) return 0;
  std::vector<std::uint64_t> all(list[1]);
  if (all.empty() || !read_memory(pid, list[0], std::as_writable_bytes(std::span(all)))) return 0;
  std::array<std::uint64_t, kBatch> ids{};
  std::array<iovec, kBatch> remote{};
  for (std::size_t at = 0; at < all.size(); at += kBatch) {
    const std::size_t count = std::min(kBatch, all.size() - at);
    for (std::size_t i = 0; i < count; ++i) {
      remote[i] = {reinterpret_cast<void*>(all[at + i] + living.go.goid), sizeof(ids[0])};  // NOLINT: as above
    }
    const iovec local{ids.data(), count * sizeof(ids[0])};
    const ssize_t got = ::process_vm_readv(static_cast<pid_t>(pid.value), &local, 1, remote.data(), count, 0);
    if (got < 0) return 0;
    const auto end = ids.begin() + got / static_cast<ssize_t>(sizeof(ids[0]));
    const auto found = std::find(ids.begin(), end, goid);
    if (found != end) return all[at + static_cast<std::size_t>(found - ids.begin())];
  }
  return 0;
}

}  // namespace

std::optional<ParkedGoroutine> find_parked(Pid pid, const GoFeed::Living& living, std::uint64_t goid) {
  const std::uint64_t g = find_goroutine(pid, living, goid);
  const auto before = g == 0 ? std::nullopt : state_of(pid, living.go, g);
  if (!before || before->goid != goid || before->status != kWaiting || before->sp >= before->high) return std::nullopt;
  ParkedGoroutine parked{before->pc, before->sp, before->bp, {}};
  parked.bytes.resize(std::min<std::uint64_t>(before->high - before->sp, kMostStack));
  if (!read_memory(pid, parked.sp, parked.bytes) || state_of(pid, living.go, g) != before) return std::nullopt;
  return parked;
}

void GoParents::deliver(std::span<const std::byte> record, RecordSink& sink) {
  sink.on_record(record);
  sl_header header{};
  if (record.size() < sizeof(header)) return;
  std::memcpy(&header, record.data(), sizeof(header));
  if (header.type == SL_GOROUTINE_ANCESTORS) {
    exact_.insert(Pid{header.tgid});
    pending_.reset();
  }
  if (header.type == SL_PROCESS_EXITED || header.type == SL_PROCESS_EXECED) exact_.erase(Pid{header.tgid});
  if (pending_) look(sink);
  if (header.type != SL_SOCKET_GOROUTINE || record.size() < sizeof(sl_socket_goroutine)) return;
  std::memcpy(&pending_.emplace(), record.data(), sizeof(sl_socket_goroutine));
  if (pending_->parent == 0 || exact_.contains(Pid{header.tgid})) pending_.reset();
}

void GoParents::pause(RecordSink& sink) {
  if (pending_) look(sink);
  looks_ = 0;
}

void GoParents::look(RecordSink& sink) {
  if (looks_++ < kLooks) stacks_.tell_parent(*pending_, sink);
  pending_.reset();
}

void StackFeed::tell_parent(const sl_socket_goroutine& made, RecordSink& sink) {
  const Pid pid{made.header.tgid};
  const KernelTime when{made.header.ktime_ns};
  const auto living = go_.living(pid);
  const auto parked = living ? find_parked(pid, *living, made.parent) : std::nullopt;
  if (!parked) return;
  StackCopy copy;
  copy.pc = parked->pc;
  copy.sp = parked->sp;
  copy.bp = parked->bp;
  copy.bytes = parked->bytes;
  copy.wanted = parked->bytes.size();
  RawStack raw{{copy.pc}, WalkEnd::kNone, {}};
  const WalkedStack walked = unwinder_.walk(pid, when, copy, SL_MAX_FRAMES - 1, [](std::uint64_t, const UnwindRule&) {});
  raw.frames.insert(raw.frames.end(), walked.stack.frames.begin(), walked.stack.frames.end());
  raw.end = walked.stack.end;
  const MappedStack placed = place(pid, when, raw);
  // Neither a ticket, a stack of the kernel side's nor a code object: those end in 0, 1 and 2.
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const MappedFrame& frame : placed.frames) {
    hash = (hash ^ frame.address ^ (std::uint64_t{frame.module.value} << 48)) * 0x100000001b3;
  }
  hash = (hash & ~std::uint64_t{15}) | 4;
  if (parent_stacks_.put(hash, true)) sink.on_stack(StackHash{hash}, placed);
  sl_goroutine_ancestors told{};
  told.header = made.header;
  told.header.type = SL_GOROUTINE_ANCESTORS;
  told.header.size = sizeof(told);
  told.cookie = made.cookie;
  told.count = 1;
  told.ancestors[0] = {made.parent, hash};
  sink.on_record(std::as_bytes(std::span(&told, 1)));
}

}  // namespace sockleak
