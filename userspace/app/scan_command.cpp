// `sockleak scan`: one snapshot (or, with -i, one after the other), its causes and gauges, and the limits that make it
// a monitoring check.
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "app/commands.hpp"
#include "app/output.hpp"
#include "app/session.hpp"
#include "app/signals.hpp"
#include "app/version.hpp"
#include "base/log.hpp"
#include "filter/filter.hpp"
#include "process/procfs.hpp"
#include "scan/cause.hpp"
#include "scan/diag_walk.hpp"
#include "scan/kernel_walk.hpp"
#include "scan/scan_report.hpp"

namespace sockleak {
namespace {

constexpr int kLimitExceeded = 1;

Duration monotonic() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

std::int64_t wall_clock_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

/// One line on stderr while a scan takes longer than a second.
class ProgressLine {
 public:
  explicit ProgressLine(bool wanted) : wanted_(wanted), terminal_(::isatty(STDERR_FILENO) == 1) {}
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ~ProgressLine() { erase(); }

  void begin() { began_ = monotonic(); }
  void show(const char* stage, std::uint64_t sockets) {
    if (!wanted_ || monotonic() - began_ < std::chrono::seconds(1) || (shown_ && !terminal_)) return;
    std::fprintf(stderr, "%ssockleak: scanning: %s, %llu sockets so far%s", terminal_ ? "\r\033[K" : "", stage,
                 static_cast<unsigned long long>(sockets), terminal_ ? "" : "\n");
    shown_ = true;
  }
  void erase() {
    if (shown_ && terminal_) std::fputs("\r\033[K", stderr);
    shown_ = false;
  }

 private:
  bool wanted_, terminal_;
  bool shown_ = false;
  Duration began_{};
};

/// Which cgroup a process is in; asked only if a filter wants it.
class Cgroups {
 public:
  std::string_view of(Pid pid) {
    const auto [at, added] = paths_.try_emplace(pid.value);
    if (added) at->second = procfs_.cgroup(pid);
    return at->second;
  }

 private:
  Procfs procfs_;
  std::unordered_map<std::uint32_t, std::string> paths_;
};

class Scan {
 public:
  Scan(const Options& options, Filter filter, Signals signals)
      : options_(options),
        filter_(std::move(filter)),
        signals_(std::move(signals)),
        progress_line_(!options.quiet),
        progress_([this](const char* stage, std::uint64_t sockets) { progress_line_.show(stage, sockets); }) {}

  Result<int> run();

 private:
  Result<Snapshot> take();
  Result<Snapshot> take_confirmed();
  Result<ScanReport> report();
  Result<void> write(const ScanReport& report);
  /// False if the user asks to end.
  bool wait(Duration time);

  const Options& options_;
  Filter filter_;
  Signals signals_;
  ProgressLine progress_line_;
  ScanProgress progress_;
  std::optional<KernelWalk> kernel_;
  std::vector<PortReport> earlier_;
  Duration earlier_at_{};
};

bool Scan::wait(Duration time) {
  const Duration end = monotonic() + time;
  while (true) {
    const Duration left = end - monotonic();
    if (left <= Duration::zero()) return true;
    pollfd signal{signals_.descriptor(), POLLIN, 0};
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    if (::poll(&signal, 1, static_cast<int>(std::min<std::int64_t>(ms, 60'000))) > 0 && signals_.next()) return false;
  }
}

Result<Snapshot> Scan::take() {
  auto snapshot = kernel_ ? kernel_->take(progress_) : take_through_sock_diag(progress_);
  if (snapshot) find_causes(*snapshot);
  return snapshot;
}

/// Looks again before it believes what a close in progress could also explain.
Result<Snapshot> Scan::take_confirmed() {
  auto first = take();
  if (!first) return first;
  const bool doubtful = std::any_of(first->sockets.begin(), first->sockets.end(),
                                    [](const ScanSocket& socket) { return needs_confirmation(socket.cause); });
  if (!doubtful || !wait(kSecondLook)) return first;
  auto second = take();
  if (!second) return second;
  distrust_unrepeated(*second, *first);
  return second;
}

Result<ScanReport> Scan::report() {
  progress_line_.begin();
  auto snapshot = take_confirmed();
  progress_line_.erase();
  if (!snapshot) return tl::unexpected(snapshot.error());
  ScanReport report;
  const HostFacts host = host_facts();
  report.host = {kVersion, host.kernel, host.arch, host.boot_id};
  report.time = rfc3339(wall_clock_ms());
  report.snapshot = std::move(*snapshot);
  Cgroups cgroups;
  std::function<std::string_view(Pid)> cgroup_of;
  if (filter_.mentions("cgroup")) cgroup_of = [&](Pid pid) { return cgroups.of(pid); };
  const bool holders_known = report.snapshot.hidden_processes == 0;
  for (std::size_t i = 0; i < report.snapshot.sockets.size(); ++i) {
    if (filter_.is_empty() || filter_.matches(subject_of(report.snapshot.sockets[i], holders_known, cgroup_of))) {
      report.selected.push_back(i);
    }
  }
  report.ports = measure_ports(report.snapshot);
  estimate_exhaustion(report.ports, earlier_, report.snapshot.taken - earlier_at_);
  earlier_ = report.ports;
  earlier_at_ = report.snapshot.taken;
  report.exceeded =
      exceeded_limits(report, {options_.max_port_use, options_.max_close_wait, options_.max_ownerless});
  return report;
}

Result<void> Scan::write(const ScanReport& report) {
  for (const OutputChoice& output : options_.outputs) {
    const std::string text = output.format == Format::kJson
                                 ? write_scan_json(report)
                                 : write_scan_text(report, {options_.list, options_.top});
    if (output.path.empty()) {
      if (auto ok = write_stdout(text); !ok) return ok;
      continue;
    }
    auto file = OutputFile::create(output.path);
    if (!file) return tl::unexpected(file.error());
    if (auto ok = file->finish(text); !ok) return ok;
  }
  return {};
}

Result<int> Scan::run() {
  if (auto kernel = KernelWalk::open()) {
    kernel_.emplace(std::move(*kernel));
  } else {
    log::warning(kernel.error().message() + ", so sock_diag and /proc are used; " + kernel.error().hint);
  }
  const Duration end = monotonic() + options_.duration.value_or(std::chrono::hours(24 * 365));
  int status = 0;
  while (true) {
    auto one = report();
    if (!one) return tl::unexpected(one.error());
    if (auto ok = write(*one); !ok) return tl::unexpected(ok.error());
    // The reason belongs to whoever reads the exit status; JSON and text carry it, too.
    for (const std::string& reason : one->exceeded) {
      status = kLimitExceeded;
      std::fprintf(stderr, "sockleak: limit exceeded: %s\n", reason.c_str());
    }
    if (!options_.interval || monotonic() + *options_.interval > end || !wait(*options_.interval)) return status;
  }
}

}  // namespace

Result<int> run_scan(const Options& options) {
  auto filter = Filter::parse(options.filter);
  if (!filter) return tl::unexpected(filter.error());
  auto signals = Signals::take_over();
  if (!signals) return tl::unexpected(signals.error());
  return Scan(options, std::move(*filter), std::move(*signals)).run();
}

}  // namespace sockleak
