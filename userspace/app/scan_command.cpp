// `sockleak scan`: one snapshot (or, with -i, one after the other), its causes and gauges, and the limits that make it
// a monitoring check.
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "app/commands.hpp"
#include "app/output.hpp"
#include "app/session.hpp"
#include "app/signals.hpp"
#include "app/socket_look.hpp"
#include "app/version.hpp"
#include "base/log.hpp"
#include "filter/filter.hpp"
#include "scan/cause.hpp"
#include "scan/scan_report.hpp"

namespace sockleak {
namespace {

constexpr int kLimitExceeded = 1;
constexpr int kCannotTell = 4;

Duration monotonic() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

std::int64_t wall_clock_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

/// One line on the terminal while a scan takes longer than a second.
class ProgressLine {
 public:
  explicit ProgressLine(bool wanted) : wanted_(wanted && ::isatty(STDERR_FILENO) == 1) {}
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ~ProgressLine() { erase(); }

  void begin() { began_ = monotonic(); }
  void show(const char* stage, std::uint64_t sockets) {
    if (!wanted_ || monotonic() - began_ < std::chrono::seconds(1)) return;
    std::fprintf(stderr, "\r\033[Ksockleak: scanning: %s, %llu sockets so far", stage,
                 static_cast<unsigned long long>(sockets));
    shown_ = true;
  }
  void erase() {
    if (shown_) std::fputs("\r\033[K", stderr);
    shown_ = false;
  }

 private:
  bool wanted_;
  bool shown_ = false;
  Duration began_{};
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
  Result<ScanReport> report();
  Result<void> write(const ScanReport& report);
  /// False if the user asks to end.
  bool wait(Duration time);

  const Options& options_;
  Filter filter_;
  Signals signals_;
  ProgressLine progress_line_;
  ScanProgress progress_;
  SocketLook look_ = SocketLook::open();
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

Result<ScanReport> Scan::report() {
  progress_line_.begin();
  const auto matters = [this](const Snapshot& snapshot) {
    const auto meant = selected_sockets(snapshot, filter_);
    return std::any_of(meant.begin(), meant.end(),
                       [&](std::size_t index) { return needs_confirmation(snapshot.sockets[index].cause); });
  };
  auto snapshot = look_.take_confirmed(progress_, [this](Duration time) { return wait(time); }, matters);
  progress_line_.erase();
  if (!snapshot) return tl::unexpected(snapshot.error());
  ScanReport report;
  const HostFacts host = host_facts();
  report.host = {kVersion, host.kernel, host.arch, host.boot_id};
  report.time = rfc3339(wall_clock_ms());
  report.snapshot = std::move(*snapshot);
  report.selected = selected_sockets(report.snapshot, filter_);
  report.selected_others = selected_others(report.snapshot, filter_);
  report.ports = measure_ports(report.snapshot);
  estimate_exhaustion(report.ports, earlier_, report.snapshot.taken - earlier_at_);
  earlier_ = report.ports;
  earlier_at_ = report.snapshot.taken;
  if (!filter_.is_empty()) keep_gauges_of_selected(report);
  check_limits(report, {options_.max_port_use, options_.max_close_wait, options_.max_ownerless});
  return report;
}

Result<void> Scan::write(const ScanReport& report) {
  const auto put = [&](Format format, const ScanSink& sink) {
    if (format == Format::kJson) return write_scan_json(report, sink);
    return sink(write_scan_text(report, {options_.list, options_.top, options_.interval.has_value()}));
  };
  for (const OutputChoice& output : options_.outputs) {
    if (output.path.empty()) {
      if (auto ok = put(output.format, write_stdout); !ok) return ok;
      continue;
    }
    auto file = OutputFile::create(output.path);
    if (!file) return tl::unexpected(file.error());
    if (auto ok = put(output.format, [&](std::string_view text) { return file->add(text); }); !ok) return ok;
    if (auto ok = file->finish({}); !ok) return ok;
  }
  return {};
}

Result<int> Scan::run() {
  if (const auto& why = look_.without_bpf()) {
    log::warning(why->message() + ", so sock_diag and /proc are used; " + why->hint);
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
    for (const std::string& reason : one->undecided) {
      if (status == 0) status = kCannotTell;
      std::fprintf(stderr, "sockleak: limit cannot be checked: %s\n", reason.c_str());
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
