#include "source/memory_map_feed.hpp"

#include <fcntl.h>
#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <iterator>
#include <string>

namespace sockleak {
namespace {

// 64 data pages per CPU hold about 2000 mappings: a drain comes every 100 ms at the latest.
constexpr std::size_t kPage = 4096;
constexpr std::size_t kDataBytes = 64 * kPage;
// Files that no module could be made of count too: without end, if a program makes and maps them.
constexpr std::size_t kMostFiles = 32768;
// Of those that nobody follows: hundreds of programs' starts, a megabyte.
constexpr std::size_t kKeptOthers = 8192;

UniqueFd open_cpu(int cpu) {
  perf_event_attr attr{};
  attr.size = sizeof(attr);
  attr.type = PERF_TYPE_SOFTWARE;
  attr.config = PERF_COUNT_SW_DUMMY;
  attr.mmap = 1;
  attr.mmap2 = 1;
  attr.comm = 1;
  attr.comm_exec = 1;
  attr.task = 1;
  attr.sample_id_all = 1;
  attr.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME;
  attr.use_clockid = 1;
  attr.clockid = CLOCK_MONOTONIC;  // the clock of bpf_ktime_get_ns
  attr.watermark = 1;
  attr.wakeup_watermark = kDataBytes;
  return UniqueFd(
      static_cast<int>(syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC)));
}

template <typename T>
T field(const std::vector<std::byte>& record, std::size_t offset) {
  T value{};
  if (offset + sizeof(T) <= record.size()) std::memcpy(&value, record.data() + offset, sizeof(T));
  return value;
}

}  // namespace

MemoryMapFeed::~MemoryMapFeed() {
  for (Ring& ring : rings_) munmap(ring.memory, kPage + kDataBytes);
}

bool MemoryMapFeed::open_events() {
  const long cpus = sysconf(_SC_NPROCESSORS_CONF);
  for (int cpu = 0; cpu < cpus; ++cpu) {
    UniqueFd fd = open_cpu(cpu);
    if (!fd.valid()) {
      if (errno == ENODEV) continue;  // offline
      return false;
    }
    void* memory = mmap(nullptr, kPage + kDataBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (memory == MAP_FAILED) return false;
    rings_.push_back({std::move(fd), memory});
  }
  return !rings_.empty();
}

void MemoryMapFeed::follow(Pid pid, KernelTime now) {
  if (followed_.insert(pid).second) catch_up(pid);
  read_maps(pid, now);
}

void MemoryMapFeed::follow_child(Pid parent, Pid child, KernelTime when) {
  if (!followed_.insert(child).second) return;
  addresses_.fork(parent, child, when);
  catch_up(child);
}

void MemoryMapFeed::end(Pid pid, KernelTime when) {
  constexpr std::uint64_t kLatestStack = 5'000'000'000;  // ns
  followed_.erase(pid);
  addresses_.exit(pid, when);
  addresses_.forget_before(KernelTime{when.ns - std::min(when.ns, kLatestStack)});
}

void MemoryMapFeed::keep(const Change& change) {
  if (!keeps_others_) return;
  if (others_.size() >= kKeptOthers) others_.erase(others_.begin(), others_.begin() + kKeptOthers / 2);
  others_.push_back(change);
}

/// What the process has done while nobody followed it, and whom it forked.
void MemoryMapFeed::catch_up(Pid pid) {
  const auto concerns = [pid](const Change& change) {
    return change.type == PERF_RECORD_FORK ? change.parent == pid : change.pid == pid;
  };
  std::vector<Change> missed;
  std::copy_if(others_.begin(), others_.end(), std::back_inserter(missed), concerns);
  std::erase_if(others_, concerns);
  for (const Change& change : missed) apply(change);
}

void MemoryMapFeed::refresh(Pid pid, KernelTime now) {
  const KernelTime* last = refreshed_.find(pid);
  if (last != nullptr && now - *last < std::chrono::milliseconds(100)) return;
  refreshed_.put(pid, now);
  for (const MapsEntry& entry : procfs_.executable_mappings(pid)) {
    // What lies there by now came after what lay there then, as the events say.
    if (!rings_.empty() && addresses_.find(pid, now, entry.start) != nullptr) continue;
    addresses_.map(pid, now, Mapping{entry.start, entry.end, entry.offset, module_of(pid, entry)});
  }
}

void MemoryMapFeed::read_maps(Pid pid, KernelTime since) {
  for (const MapsEntry& entry : procfs_.executable_mappings(pid)) {
    addresses_.map(pid, since, Mapping{entry.start, entry.end, entry.offset, module_of(pid, entry)});
  }
}

ModuleId MemoryMapFeed::module_of(Pid pid, const MapsEntry& entry) {
  if (entry.path.empty() || entry.path.starts_with("//anon")) return ModuleStore::kUnknown;
  const auto key = std::tuple(entry.device_major, entry.device_minor, entry.inode, entry.path);
  if (auto known = known_files_.find(key); known != known_files_.end()) return known->second;
  UniqueFd fd;
  if (entry.path.front() == '/') {
    fd = procfs_.open_mapping(pid, entry);
    if (!fd.valid()) losses_.add(Counter::modules_unreadable);
  }
  const ModuleId module = modules_.add(entry.path, std::move(fd));
  if (known_files_.size() >= kMostFiles) known_files_.clear();  // to be looked up anew
  known_files_.emplace(key, module);
  return module;
}

void MemoryMapFeed::drain() {
  std::vector<Change> changes;
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  drained_.ns = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
  for (Ring& ring : rings_) read_ring(ring, changes);
  std::stable_sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) { return a.when < b.when; });
  for (const Change& change : changes) apply(change);
}

// The ring's protocol: perf_event_open(2), "MMAP layout".
void MemoryMapFeed::read_ring(Ring& ring, std::vector<Change>& changes) {
  auto* page = static_cast<perf_event_mmap_page*>(ring.memory);
  const auto* data = static_cast<const std::byte*>(ring.memory) + kPage;
  const std::uint64_t head = std::atomic_ref(page->data_head).load(std::memory_order_acquire);
  std::uint64_t tail = page->data_tail;
  std::vector<std::byte> record;
  while (tail < head) {
    perf_event_header header{};
    for (std::size_t i = 0; i < sizeof(header); ++i) {
      reinterpret_cast<std::byte*>(&header)[i] = data[(tail + i) % kDataBytes];
    }
    if (header.size < sizeof(header) || tail + header.size > head) break;
    record.resize(header.size);
    for (std::size_t i = 0; i < header.size; ++i) record[i] = data[(tail + i) % kDataBytes];
    tail += header.size;

    constexpr std::size_t kBody = sizeof(perf_event_header);
    Change change;
    change.type = header.type;
    change.misc = header.misc;
    change.when = KernelTime{field<std::uint64_t>(record, record.size() - sizeof(std::uint64_t))};
    change.pid = Pid{field<std::uint32_t>(record, kBody)};
    if (header.type == PERF_RECORD_LOST) {
      losses_.add(Counter::mappings_lost, field<std::uint64_t>(record, kBody + 8));
      continue;
    }
    if (header.type == PERF_RECORD_FORK) {
      change.parent = Pid{field<std::uint32_t>(record, kBody + 4)};
    } else if (header.type == PERF_RECORD_MMAP2) {
      change.entry.start = field<std::uint64_t>(record, kBody + 8);
      change.entry.end = change.entry.start + field<std::uint64_t>(record, kBody + 16);
      change.entry.offset = field<std::uint64_t>(record, kBody + 24);
      change.entry.device_major = field<std::uint32_t>(record, kBody + 32);
      change.entry.device_minor = field<std::uint32_t>(record, kBody + 36);
      change.entry.inode = field<std::uint64_t>(record, kBody + 40);
      constexpr std::size_t kName = kBody + 64;
      const auto* name = reinterpret_cast<const char*>(record.data()) + kName;
      if (record.size() > kName) change.entry.path.assign(name, strnlen(name, record.size() - kName));
      remove_deleted(change.entry.path);
    } else if (header.type != PERF_RECORD_COMM && header.type != PERF_RECORD_EXIT) {
      continue;
    }
    changes.push_back(std::move(change));
  }
  std::atomic_ref(page->data_tail).store(tail, std::memory_order_release);
}

void MemoryMapFeed::apply(const Change& change) {
  if (change.type == PERF_RECORD_FORK) {
    if (change.pid == change.parent) return;
    if (!followed_.contains(change.parent)) return keep(change);
    return follow_child(change.parent, change.pid, change.when);
  }
  if (!followed_.contains(change.pid)) return keep(change);
  if (change.type == PERF_RECORD_MMAP2) {
    const MapsEntry& entry = change.entry;
    const bool replaced = addresses_.map(
        change.pid, change.when, Mapping{entry.start, entry.end, entry.offset, module_of(change.pid, entry)});
    if (replaced && on_replaced_) on_replaced_(change.pid, change.when, entry.start, entry.end);
  } else if (change.type == PERF_RECORD_COMM && (change.misc & PERF_RECORD_MISC_COMM_EXEC) != 0) {
    addresses_.exec(change.pid, change.when);
  }
}

}  // namespace sockleak
