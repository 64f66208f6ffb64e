// Order matters: sockets before descriptors, so that a socket born in between has a holder and no listing (it is left
// out) instead of a listing and no holder (it would look ownerless).
#include "scan/kernel_walk.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/io_uring.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
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
#include "scan/cause.hpp"
#include "scan/descriptors.hpp"
#include "scan/namespaces.hpp"

extern "C" {
#include "../../bpf/scan_wire.h"
}
#include "sockleak_scan_bpf.skel.h"

namespace sockleak {
namespace {

using Skeleton = CPtr<sockleak_scan_bpf, &sockleak_scan_bpf::destroy>;
using Link = CPtr<bpf_link, &bpf_link__destroy>;
using Ring = CPtr<ring_buffer, &ring_buffer__free>;
using Record = std::span<const std::byte>;

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

template <typename T>
std::optional<T> as(Record record) {
  if (record.size() != sizeof(T)) return {};
  T out{};
  std::memcpy(&out, record.data(), sizeof(T));
  return out;
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

std::string comm_of(const char (&comm)[SL_COMM_LEN]) { return {comm, strnlen(comm, sizeof(comm))}; }

Endpoint endpoint(const sl_tuple& tuple, bool local) {
  Endpoint out;
  out.family = static_cast<Family>(tuple.family);
  std::copy_n(local ? tuple.local : tuple.remote, 16, out.address.begin());
  out.port = local ? tuple.local_port : tuple.remote_port;
  return out;
}

/// Builds a snapshot from records in whatever order they come.
class Assembly {
 public:
  explicit Assembly(double hz) : hz_(hz) {
    snapshot.sockets.reserve(1024);
    index_.reserve(4096);
  }

  void add(Record record) {
    sl_scan_header header{};
    std::memcpy(&header, record.data(), sizeof(header));
    if (header.type == SL_SCAN_SOCKET) {
      if (const auto socket = as<sl_scan_socket>(record)) add_socket(*socket);
    } else if (header.type == SL_SCAN_HOLDER) {
      if (const auto holder = as<sl_scan_holder>(record)) holders_.push_back(*holder);
    } else if (header.type == SL_SCAN_TASK) {
      if (const auto task = as<sl_scan_task>(record)) add_task(*task);
    }
  }

  void distribute_holders() {
    for (const sl_scan_holder& holder : holders_) {
      const auto at = index_.find(key(holder.cookie, holder.socket));
      if (at == index_.end()) continue;  // born during the walk, or a unix socket
      ScanHolder out{static_cast<Via>(holder.via), Pid{holder.tgid}, Pid{holder.tid}, Fd{holder.fd},
                     holder.close_on_exec != 0,    holder.leader_ended != 0, comm_of(holder.comm), holder.container};
      std::vector<ScanHolder>& holders = snapshot.sockets[at->second].holders;
      if (holder.via == SL_VIA_IN_FLIGHT) name_receiver(holder.container, out);
      // Threads with a table of their own are reported one by one; the same table twice is the same descriptor.
      const auto same = [&](const ScanHolder& other) {
        return other.via == out.via && other.pid == out.pid && other.table == out.table && other.place == out.place;
      };
      if (std::none_of(holders.begin(), holders.end(), same)) holders.push_back(std::move(out));
    }
    holders_.clear();
  }

  [[nodiscard]] std::uint64_t records() const { return snapshot.sockets.size() + holders_.size(); }

  Snapshot snapshot;

 private:
  // A cookie if it has one; only sockets that no table lists may lack it. Pointers are no cookies: the highest bit.
  static std::uint64_t key(std::uint64_t cookie, std::uint64_t socket) { return cookie != 0 ? cookie : socket; }

  Duration time(std::uint32_t jiffies) const {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(static_cast<double>(jiffies) / hz_));
  }

  void add_socket(const sl_scan_socket& in) {
    if (!index_.try_emplace(key(in.cookie, in.socket), snapshot.sockets.size()).second) return;
    ScanSocket& out = snapshot.sockets.emplace_back();
    out.cookie = SocketId{in.cookie};
    out.identity = in.socket;
    out.inode = in.inode;
    out.state = static_cast<TcpState>(in.state <= 12 ? in.state : 0);
    out.substate = static_cast<TcpState>(in.substate <= 12 ? in.substate : 0);
    out.addresses = {endpoint(in.tuple, true), endpoint(in.tuple, false), static_cast<Protocol>(in.tuple.protocol)};
    out.netns = NetnsId{in.netns};
    out.uid = in.uid;
    const auto fact = [&](unsigned bit) { return (in.facts & bit) != 0; };
    out.has_socket = fact(SL_FACT_HAS_SOCKET);
    out.has_file = fact(SL_FACT_HAS_FILE);
    out.dead = fact(SL_FACT_DEAD);
    out.kernel = fact(SL_FACT_KERNEL);
    out.mptcp = fact(SL_FACT_MPTCP);
    out.has_port = fact(SL_FACT_BUCKET);
    out.blocks_port = fact(SL_FACT_BOUND);
    out.mini = fact(SL_FACT_MINI);
    if (out.addresses.protocol == Protocol::kTcp && !out.mini && out.state != TcpState::kListen) {
      const std::uint32_t last_peer = std::min(in.since_receive, in.since_ack);
      out.idle = time(std::min(last_peer, in.since_send));
      out.since_peer = time(last_peer);
    }
    if (out.state == TcpState::kTimeWait) {
      // A timer that is just due may read as slightly negative.
      out.time_wait_left = static_cast<std::int32_t>(in.timer) < 0 ? Duration::zero() : time(in.timer);
      out.timestamps = in.timestamps != 0;
    }
    out.ack_backlog = in.ack_backlog;
    out.max_ack_backlog = in.max_ack_backlog;
    out.receive_queue = in.receive_queue;
    out.send_queue = in.send_queue;
    out.rx_bytes = in.rx_bytes;
    out.tx_bytes = in.tx_bytes;
    out.file_references = in.file_references;
    out.credentials = in.credentials;
    out.ring_sleeper = in.ring_waiter;
    for (const std::uint64_t waiter : in.waiters) {
      if (waiter != 0) out.sleepers.push_back(waiter);
    }
  }

  void add_task(const sl_scan_task& in) {
    ScanTask& out = snapshot.tasks.emplace_back();
    out.identity = in.task;
    out.credentials = in.credentials;
    out.files = in.files;
    out.descriptor_limit = in.descriptor_limit;
    out.most_descriptors = in.most_descriptors;
    out.pid = Pid{in.tgid};
    out.tid = Pid{in.tid};
    out.exiting = in.exiting != 0;
    out.ended = in.ended != 0;
    out.comm = comm_of(in.comm);
  }

  /// Whoever holds the unix socket in whose queue the message waits.
  void name_receiver(std::uint64_t unix_cookie, ScanHolder& out) const {
    for (const sl_scan_holder& holder : holders_) {
      if (holder.via != SL_VIA_FD || holder.cookie != unix_cookie) continue;
      out.pid = Pid{holder.tgid};
      out.tid = Pid{holder.tid};
      out.comm = comm_of(holder.comm);
      out.place = Fd{holder.fd};
      return;
    }
    out.place = Fd{-1};
  }

  double hz_;
  std::unordered_map<std::uint64_t, std::size_t> index_;
  std::vector<sl_scan_holder> holders_;
};

}  // namespace

class KernelWalk::Programs {
 public:
  Result<void> load();
  Result<Snapshot> take(const Progress& progress);

 private:
  bool load_programs(bool everything);
  Result<void> calibrate();
  bool run(const bpf_program* program, Assembly* assembly, Pid only = Pid{0});
  void drain(Assembly* assembly);

  UniqueFd socket_, io_ring_;
  Skeleton skeleton_;
  Ring ring_;
  Assembly* receiver_ = nullptr;  // while an iterator is read
  bool everything_ = true;
};

bool KernelWalk::Programs::load_programs(bool everything) {
  skeleton_.reset(sockleak_scan_bpf::open());
  if (!skeleton_) return false;
  skeleton_->rodata->sl_self = static_cast<__u32>(getpid());
  skeleton_->rodata->sl_self_socket = socket_.get();
  skeleton_->rodata->sl_self_ring = io_ring_.get();
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
      return fail_os(ErrorKind::kCannotTrace, "cannot walk the kernel's tables", "needs CAP_BPF and CAP_PERFMON", error);
    }
  }
  ring_.reset(ring_buffer__new(bpf_map__fd(skeleton_->maps.sl_scan_ring),
                               [](void* self, void* data, std::size_t size) {
                                 Assembly* to = static_cast<Programs*>(self)->receiver_;
                                 if (to != nullptr) to->add({static_cast<const std::byte*>(data), size});
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

void KernelWalk::Programs::drain(Assembly* assembly) {
  receiver_ = assembly;
  ring_buffer__consume(ring_.get());
  receiver_ = nullptr;
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
  std::vector<std::byte> buffer(128 * 1024);
  std::size_t filled = 0;
  while (true) {
    const ssize_t n = ::read(iterator.get(), buffer.data() + filled, buffer.size() - filled);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n < 0) return false;
    drain(assembly);
    if (n == 0) return filled == 0;
    filled += static_cast<std::size_t>(n);
    std::size_t at = 0;
    while (filled - at >= sizeof(sl_scan_header)) {
      sl_scan_header header{};
      std::memcpy(&header, buffer.data() + at, sizeof(header));
      if (header.size < sizeof(header)) return false;
      if (filled - at < header.size) break;
      if (assembly != nullptr) assembly->add({buffer.data() + at, header.size});
      at += header.size;
    }
    std::memmove(buffer.data(), buffer.data() + at, filled - at);
    filled -= at;
  }
}

Result<Snapshot> KernelWalk::Programs::take(const Progress& progress) {
  const Duration began = clock_now(CLOCK_MONOTONIC);
  skeleton_->bss->sl_rings_seen = 0;
  struct stat pid_namespace{};
  skeleton_->bss->sl_ring_lost = 0;
  Assembly assembly(jiffies_per_second(skeleton_->bss->sl_jiffies, Duration(skeleton_->bss->sl_jiffies_ktime)));
  Snapshot& snapshot = assembly.snapshot;
  snapshot.through_bpf = true;
  // Iterators see the processes of the reader's pid namespace; the initial one has a fixed number (PROC_PID_INIT_INO).
  snapshot.outer_processes = stat("/proc/self/ns/pid", &pid_namespace) != 0 || pid_namespace.st_ino != 0xEFFFFFFC;
  bool whole = true;
  const auto step = [&](const char* what) { progress(what, assembly.records()); };

  step("network namespaces");
  std::uint64_t unreadable = 0;
  const std::vector<NamespaceDoor> doors = find_namespaces(unreadable);
  const auto refused = visit_namespaces(doors, [&](NetnsId id) {
    NetworkNamespace facts = read_settings(id);
    facts.walked = run(skeleton_->progs.sl_scan_tcp, &assembly);
    whole = facts.walked && run(skeleton_->progs.sl_scan_udp, &assembly) && whole;
    const __u8 yes = 1;
    if (facts.walked) bpf_map_update_elem(bpf_map__fd(skeleton_->maps.sl_walked_netns), &id.value, &yes, BPF_ANY);
    snapshot.namespaces.push_back(std::move(facts));
    step("sockets");
  });
  if (everything_) {
    // Queues of unix sockets are per namespace, too.
    const auto again = visit_namespaces(doors, [&](NetnsId) { whole = run(skeleton_->progs.sl_scan_unix, &assembly) && whole; });
    whole = again.size() == refused.size() && whole;
    whole = run(skeleton_->progs.sl_scan_tasks, &assembly) && whole;
  }
  step("descriptors");
  whole = run(skeleton_->progs.sl_scan_files, &assembly) && whole;
  if (everything_ && skeleton_->bss->sl_rings_seen > 0) {
    step("io_uring rings");
    whole = run(skeleton_->progs.sl_scan_rings, &assembly) && whole;
  }
  if (snapshot.outer_processes) snapshot.gaps.emplace_back("processes outside this pid namespace");
  snapshot.outer_processes = snapshot.outer_processes || unreadable > 0;
  assembly.distribute_holders();
  find_causes(snapshot);
  const auto unexplained = [](const ScanSocket& socket) { return socket.cause == Cause::kUnknown || socket.cause == Cause::kHidden;
  };
  if (everything_ && std::any_of(snapshot.sockets.begin(), snapshot.sockets.end(), unexplained)) {
    step("mappings");
    whole = run(skeleton_->progs.sl_scan_mappings, &assembly) && whole;
    assembly.distribute_holders();
  }
  snapshot.descriptors = descriptor_use(snapshot.tasks);


  if (!refused.empty()) {
    snapshot.gaps.push_back(std::to_string(refused.size()) +
                            " network namespaces could not be entered (needs CAP_SYS_ADMIN): of their sockets only "
                            "those with a descriptor are listed");
  }
  if (unreadable > 0) {
    snapshot.gaps.push_back("the network namespaces of " + std::to_string(unreadable) +
                            " processes could not be read (needs CAP_SYS_PTRACE)");
  }
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

Result<Snapshot> KernelWalk::take(const Progress& progress) { return programs_->take(progress); }

KernelWalk::KernelWalk(std::unique_ptr<Programs> programs) : programs_(std::move(programs)) {}
KernelWalk::KernelWalk(KernelWalk&&) noexcept = default;
KernelWalk& KernelWalk::operator=(KernelWalk&&) noexcept = default;
KernelWalk::~KernelWalk() = default;

}  // namespace sockleak
