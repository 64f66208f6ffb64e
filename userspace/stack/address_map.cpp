// Overlaps need no splitting: where several mappings are valid at a time the youngest one wins, as in the kernel.
#include "stack/address_map.hpp"

#include <algorithm>
#include <limits>

namespace sockleak {
namespace {

constexpr KernelTime kForever{std::numeric_limits<std::uint64_t>::max()};

// Stacks and mappings come through different rings, and a process's maps may be read only after its first stack.
constexpr Duration kRaceSlack = std::chrono::seconds(1);

// load_elf_binary maps the new program before sched_process_exec fires (fs/exec.c, exec_binprm): what the process
// itself mapped this shortly before its exec belongs to the new image.
constexpr Duration kExecSlack = std::chrono::milliseconds(10);

bool overlap(const Mapping& a, const Mapping& b) { return a.start < b.end && b.start < a.end; }

bool same_place(const Mapping& a, const Mapping& b) {
  return a.start == b.start && a.end == b.end && a.offset == b.offset && a.module == b.module;
}

}  // namespace

void AddressMap::end_all(std::vector<Timed>& mappings, KernelTime at) {
  for (Timed& timed : mappings) timed.until = std::min(timed.until, at);
}

bool AddressMap::map(Pid pid, KernelTime since, Mapping mapping) {
  if (mapping.start >= mapping.end) return false;
  if (size_ >= kMaxMappings && !make_room()) {
    ++dropped_;
    return false;
  }
  Process& process = processes_[pid];
  if (process.exited != KernelTime{} && process.exited < since) {  // a later process has got the number
    end_all(process.mappings, since);
    process.exited = process.image = {};
  }
  make_room_in(process, since);
  bool told_twice = false;  // by an event and by /proc/PID/maps
  bool replaced = false;
  for (Timed& old : process.mappings) {
    if (old.until != kForever) continue;
    replaced |= old.since <= since && overlap(old.mapping, mapping) && old.mapping.module != mapping.module;
    if (same_place(old.mapping, mapping)) {
      old.since = std::min(old.since, since);
      told_twice = true;
    } else if (old.since <= since && mapping.start <= old.mapping.start && old.mapping.end <= mapping.end) {
      old.until = since;
    }
  }
  if (told_twice) return false;
  const bool of_old_image = since < process.image && process.image - since > kExecSlack;
  ++process.changes;
  process.mappings.push_back({since, of_old_image ? process.image : kForever, mapping, false});
  ++size_;
  return replaced;
}

void AddressMap::exec(Pid pid, KernelTime since) {
  auto it = processes_.find(pid);
  if (it == processes_.end()) return;
  it->second.image = since;
  for (Timed& old : it->second.mappings) {
    const bool of_new_image = old.since >= since || (!old.inherited && since - old.since <= kExecSlack);
    if (!of_new_image) old.until = std::min(old.until, since);
  }
}

void AddressMap::fork(Pid parent, Pid child, KernelTime since) {
  std::vector<Timed> copies;
  if (auto it = processes_.find(parent); it != processes_.end()) {
    for (const Timed& timed : it->second.mappings) {
      if (timed.since <= since && since < timed.until) copies.push_back({since, kForever, timed.mapping, true});
    }
  }
  if (copies.empty()) {  // the caller shall see that it must read /proc/CHILD/maps
    if (auto old = processes_.find(child); old != processes_.end()) {
      size_ -= old->second.mappings.size();
      processes_.erase(old);
    }
    return;
  }
  while (size_ + copies.size() > kMaxMappings) {
    if (!make_room()) {
      dropped_ += copies.size();
      return;
    }
  }
  Process& process = processes_[child];  // may be the remains of an earlier process with this number
  end_all(process.mappings, since);
  process.exited = process.image = {};
  process.mappings.insert(process.mappings.end(), copies.begin(), copies.end());
  size_ += copies.size();
}

void AddressMap::exit(Pid pid, KernelTime at) {
  if (auto it = processes_.find(pid); it != processes_.end()) it->second.exited = at;
}

void AddressMap::forget_before(KernelTime time) {
  for (auto it = processes_.begin(); it != processes_.end();) {
    Process& process = it->second;
    const bool gone = process.exited != KernelTime{} && process.exited < time;
    size_ -= gone ? process.mappings.size()
                  : std::erase_if(process.mappings, [&](const Timed& timed) { return timed.until < time; });
    it = gone ? processes_.erase(it) : std::next(it);
  }
}

const Mapping* AddressMap::find(Pid pid, KernelTime when, std::uint64_t address) const {
  auto it = processes_.find(pid);
  if (it == processes_.end()) return nullptr;
  const Timed* valid = nullptr;
  const Timed* later = nullptr;
  for (const Timed& timed : it->second.mappings) {
    if (address < timed.mapping.start || address >= timed.mapping.end) continue;
    if (timed.since <= when && when < timed.until) {
      if (valid == nullptr || timed.since >= valid->since) valid = &timed;
    } else if (when < timed.since && timed.since - when <= kRaceSlack) {
      if (later == nullptr || timed.since < later->since) later = &timed;
    }
  }
  if (valid != nullptr) return &valid->mapping;
  return later != nullptr ? &later->mapping : nullptr;
}

std::vector<Mapping> AddressMap::mappings(Pid pid, KernelTime when) const {
  std::vector<Mapping> valid;
  if (const auto it = processes_.find(pid); it != processes_.end()) {
    for (const Timed& timed : it->second.mappings) {
      if (timed.since <= when && when < timed.until) valid.push_back(timed.mapping);
    }
  }
  return valid;
}

std::uint64_t AddressMap::changes(Pid pid) const {
  const auto it = processes_.find(pid);
  return it == processes_.end() ? 0 : it->second.changes;
}

// Gives up the process that exited first. False if every process lives.
bool AddressMap::make_room() {
  auto first = processes_.end();
  for (auto it = processes_.begin(); it != processes_.end(); ++it) {
    if (it->second.exited == KernelTime{} || it->second.mappings.empty()) continue;
    if (first == processes_.end() || it->second.exited < first->second.exited) first = it;
  }
  if (first == processes_.end()) return false;
  size_ -= first->second.mappings.size();
  dropped_ += first->second.mappings.size();
  processes_.erase(first);
  return true;
}

void AddressMap::make_room_in(Process& process, KernelTime now) {
  if (process.mappings.size() < kMaxMappingsPerProcess) return;
  auto& mappings = process.mappings;
  std::size_t freed = std::erase_if(mappings, [&](const Timed& timed) { return timed.until < now; });
  if (freed == 0) {
    // Half at once: a program that maps without end must not cost a pass over the list per mapping.
    const auto half = static_cast<std::ptrdiff_t>(mappings.size() / 2);
    mappings.erase(mappings.begin(), mappings.begin() + half);
    freed = static_cast<std::size_t>(half);
    dropped_ += freed;
  }
  size_ -= freed;
}

}  // namespace sockleak
