// Order matters: sockets before descriptors, so that a socket born in between has a holder and no listing (it is left
// out) instead of a listing and no holder (it would look ownerless).
#include "scan/kernel_walk.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/io_uring.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <span>
#include <unordered_map>

#include "base/log.hpp"
#include "base/text.hpp"
#include "process/initial_namespaces.hpp"
#include "process/wakers.hpp"
#include "scan/assembly.hpp"
#include "scan/cause.hpp"
#include "scan/descriptors.hpp"
#include "scan/iterator_reader.hpp"
#include "scan/namespaces.hpp"
#include "scan/settings.hpp"

#include "sockleak_scan_bpf.skel.h"

namespace sockleak {
namespace {

using Skeleton = CPtr<sockleak_scan_bpf, &sockleak_scan_bpf::destroy>;
using Link = CPtr<bpf_link, &bpf_link__destroy>;
using Ring = CPtr<ring_buffer, &ring_buffer__free>;

Duration clock_now(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

int log_libbpf(libbpf_print_level, const char* format, va_list arguments) {
  std::array<char, 1024> line{};
  if (std::vsnprintf(line.data(), line.size(), format, arguments) > 0) log::debug(line.data());
  return 0;
}

/// The clock in which TCP notes times. jiffies begin 5 minutes before 2^32 (include/linux/jiffies.h), so the uptime
/// tells which of the possible frequencies a kernel was built with.
double jiffies_per_second(std::uint64_t jiffies, Duration uptime) {
  double best = 250, least = INFINITY;
  for (const double hz : {100.0, 250.0, 300.0, 1000.0}) {
    const double expected = 4294967296.0 + hz * (seconds(uptime) - 300.0);
    const double error = std::abs(static_cast<double>(jiffies) - expected) / hz;
    if (error < least) {
      least = error;
      best = hz;
    }
  }
  return best;
}

}  // namespace

class KernelWalk::Programs {
 public:
  Result<void> load();
  Result<Snapshot> take(const ScanProgress& progress);

 private:
  bool load_programs(bool everything);
  Result<void> calibrate();
  bool run(const bpf_program* program, Assembly* assembly, Pid only = Pid{0});
  void drain(IteratorReader::Records& records);

  UniqueFd socket_, io_ring_;
  Skeleton skeleton_;
  Ring ring_;
  IteratorReader::Records* ring_receiver_ = nullptr;  // while an iterator is read
  bool everything_ = true;
};

bool KernelWalk::Programs::load_programs(bool everything) {
  skeleton_.reset(sockleak_scan_bpf::open());
  if (!skeleton_) return false;
  skeleton_->rodata->sl_self = static_cast<__u32>(getpid());
  skeleton_->rodata->sl_self_socket = socket_.get();
  skeleton_->rodata->sl_self_ring = io_ring_.get();
  find_wakers(skeleton_->rodata->sl_wakers);
  if (!everything) {
    for (bpf_program* program : {skeleton_->progs.sl_scan_rings, skeleton_->progs.sl_scan_unix,
                                 skeleton_->progs.sl_scan_tasks, skeleton_->progs.sl_scan_mappings}) {
      bpf_program__set_autoload(program, false);
    }
  }
  everything_ = everything;
  return sockleak_scan_bpf::load(skeleton_.get()) == 0;
}

Result<void> KernelWalk::Programs::load() {
  libbpf_set_print(log_libbpf);
  socket_.reset(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  io_uring_params parameters{};
  io_ring_.reset(static_cast<int>(syscall(SYS_io_uring_setup, 1, &parameters)));
  // Needed below 5.11 (bdb7b79b4ce8) only; without CAP_SYS_RESOURCE it fails where nobody needs it.
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_MEMLOCK, &unlimited);
  // bpf_loop (5.17) and iter/unix (5.15) are for the walks that may be left out.
  if (!load_programs(true)) {
    const int error = errno;
    if (error == EPERM || !load_programs(false)) {
      return fail_os(ErrorKind::kCannotTrace, "cannot walk the kernel's tables",
                     error == EPERM || error == EACCES ? "needs CAP_BPF and CAP_PERFMON"
                                                       : "kernels can from 5.12 on, with CONFIG_DEBUG_INFO_BTF",
                     error);
    }
  }
  ring_.reset(ring_buffer__new(bpf_map__fd(skeleton_->maps.sl_scan_ring),
                               [](void* self, void* data, std::size_t size) {
                                 IteratorReader::Records* to = static_cast<Programs*>(self)->ring_receiver_;
                                 const auto* bytes = static_cast<const std::byte*>(data);
                                 if (to != nullptr) to->append(bytes, size);
                                 return 0;
                               },
                               this, nullptr));
  if (!ring_) return fail_os(ErrorKind::kCannotTrace, "cannot read from the kernel");
  return calibrate();
}

Result<void> KernelWalk::Programs::calibrate() {
  // One process's files only, where the kernel can (6.1, f0d74c4da1f0).
  const Pid self{static_cast<std::uint32_t>(getpid())};
  if (!run(skeleton_->progs.sl_scan_calibrate, nullptr, self) && !run(skeleton_->progs.sl_scan_calibrate, nullptr)) {
    return fail_os(ErrorKind::kCannotTrace, "cannot iterate over files");
  }
  return {};
}

void KernelWalk::Programs::drain(IteratorReader::Records& records) {
  ring_receiver_ = &records;
  ring_buffer__consume(ring_.get());
  ring_receiver_ = nullptr;
}

bool KernelWalk::Programs::run(const bpf_program* program, Assembly* assembly, Pid only) {
  bpf_iter_link_info filter{};
  filter.task.pid = only.value;
  LIBBPF_OPTS(bpf_iter_attach_opts, options);
  options.link_info = &filter;
  options.link_info_len = sizeof(filter);
  const Link link(bpf_program__attach_iter(program, only.value != 0 ? &options : nullptr));
  if (!link) return false;
  const UniqueFd iterator(bpf_iter_create(bpf_link__fd(link.get())));
  if (!iterator.valid()) return false;
  IteratorReader reader(iterator.get(), [this](IteratorReader::Records& records) { drain(records); });
  for (IteratorReader::Records records; reader.next(records);) {
    for (std::size_t at = 0; at < records.used;) {
      sl_scan_header header{};
      std::memcpy(&header, records.bytes.data() + at, sizeof(header));
      if (assembly != nullptr) assembly->add({records.bytes.data() + at, header.size});
      at += header.size;
    }
  }
  return reader.whole();
}

Result<Snapshot> KernelWalk::Programs::take(const ScanProgress& progress) {
  const Duration began = clock_now(CLOCK_MONOTONIC);
  skeleton_->bss->sl_rings_seen = 0;
  skeleton_->bss->sl_ring_lost = 0;
  // TCP sockets of the machine, whatever their state and namespace; growing by doubling would touch far more memory.
  const std::string sockstat = line_with("/proc/net/sockstat", "TCP:");
  const std::size_t alloc = sockstat.find("alloc ");
  const std::size_t expected = alloc == std::string::npos ? 0 : std::strtoul(sockstat.c_str() + alloc + 6, nullptr, 10);
  Assembly assembly(expected, jiffies_per_second(skeleton_->bss->sl_jiffies, Duration(skeleton_->bss->sl_jiffies_ktime)));
  Snapshot& snapshot = assembly.snapshot;
  snapshot.through_bpf = true;
  snapshot.outer_processes = !in_initial_pid_namespace();
  bool whole = true;
  const auto step = [&](const char* what) { progress(what, assembly.records()); };

  step("network namespaces");
  const NetnsHandles doors = find_network_namespaces("/proc");
  if (doors.list.empty()) return fail(ErrorKind::kCannotTrace, "cannot tell the network namespace", "is /proc mounted?");
  const auto refused = visit_namespaces(doors, [&](const NetnsHandle& door) {
    NetworkNamespace facts = read_settings(door.id);
    facts.name = door.name;
    facts.walked = run(skeleton_->progs.sl_scan_tcp, &assembly);
    whole = facts.walked && run(skeleton_->progs.sl_scan_udp, &assembly) && whole;
    const __u8 yes = 1;
    if (facts.walked) bpf_map_update_elem(bpf_map__fd(skeleton_->maps.sl_walked_netns), &door.id.value, &yes, BPF_ANY);
    snapshot.namespaces.push_back(std::move(facts));
    step("sockets");
  });
  if (everything_) {
    // Queues of unix sockets are per namespace, too.
    const auto again = visit_namespaces(doors, [&](const NetnsHandle&) { whole = run(skeleton_->progs.sl_scan_unix, &assembly) && whole; });
    whole = again.size() == refused.size() && whole;
    const bool tasks = run(skeleton_->progs.sl_scan_tasks, &assembly);
    snapshot.every_task = tasks && in_initial_pid_namespace();
    whole = tasks && whole;
  }
  step("descriptors");
  whole = run(skeleton_->progs.sl_scan_files, &assembly) && whole;
  if (everything_ && skeleton_->bss->sl_rings_seen > 0) {
    step("io_uring rings");
    whole = run(skeleton_->progs.sl_scan_rings, &assembly) && whole;
  }
  if (snapshot.outer_processes) snapshot.gaps.emplace_back("processes outside this pid namespace");
  snapshot.outer_processes = snapshot.outer_processes || doors.hidden > 0;
  assembly.distribute_holders();
  find_causes(snapshot);
  const auto unexplained = [](const ScanSocket& socket) {
    return socket.cause == Cause::kUnknown || socket.cause == Cause::kHidden;
  };
  if (everything_ && std::any_of(snapshot.sockets.begin(), snapshot.sockets.end(), unexplained)) {
    step("mappings");
    whole = run(skeleton_->progs.sl_scan_mappings, &assembly) && whole;
    assembly.distribute_holders();
    find_causes(snapshot);
  }
  snapshot.descriptors = descriptor_use(snapshot.tasks);
  if (!refused.empty()) {
    snapshot.gaps.push_back(counted(refused.size(), "network namespace", "network namespaces") +
                            " could not be entered (needs CAP_SYS_ADMIN): of their sockets only those with a "
                            "descriptor are listed");
  }
  if (doors.hidden > 0) snapshot.gaps.push_back(unread_processes("network namespaces", doors.hidden));
  if (!everything_) {
    snapshot.gaps.push_back("this kernel cannot search io_uring slots, messages in flight, mappings and exiting tasks");
  } else if (!io_ring_.valid()) {
    snapshot.gaps.push_back("io_uring is disabled for sockleak: slots of rings were not searched");
  }
  if (skeleton_->bss->sl_ring_lost > 0) {
    snapshot.gaps.push_back(std::to_string(skeleton_->bss->sl_ring_lost) + " records did not fit into the ring");
  }
  if (!whole) snapshot.gaps.push_back("a table of the kernel could not be read to its end");
  snapshot.taken = clock_now(CLOCK_BOOTTIME);
  snapshot.seconds = seconds(clock_now(CLOCK_MONOTONIC) - began);
  return std::move(snapshot);
}

Result<KernelWalk> KernelWalk::open() {
  auto programs = std::make_unique<Programs>();
  if (auto loaded = programs->load(); !loaded) return tl::unexpected<Error>(loaded.error());
  return KernelWalk(std::move(programs));
}

Result<Snapshot> KernelWalk::take(const ScanProgress& progress) { return programs_->take(progress); }

KernelWalk::KernelWalk(std::unique_ptr<Programs> programs) : programs_(std::move(programs)) {}
KernelWalk::KernelWalk(KernelWalk&&) noexcept = default;
KernelWalk& KernelWalk::operator=(KernelWalk&&) noexcept = default;
KernelWalk::~KernelWalk() = default;

}  // namespace sockleak
