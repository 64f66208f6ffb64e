// What one scan says, ready to print: a snapshot with its causes, what the filter left of it, and the gauges.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "scan/ports.hpp"
#include "scan/snapshot.hpp"

namespace sockleak {

/// `--max-…`; empty = not checked.
struct ScanLimits {
  std::optional<double> port_use;
  std::optional<std::uint64_t> close_wait, ownerless;
};

struct ScanHost {
  std::string tool_version, kernel, arch, boot_id;
};

struct ScanReport {
  ScanHost host;
  std::string time;  // RFC 3339
  Snapshot snapshot;
  std::vector<std::size_t> selected;  // sockets that the filter means, by index
  std::vector<std::size_t> selected_others;  // likewise, of families that are not judged
  std::vector<PortReport> ports;
  std::vector<std::string> exceeded;   // limits, a sentence each: exit status 1
  std::vector<std::string> undecided;  // limits that what cannot be seen may exceed: exit status 4
};

/// Fills `exceeded` and `undecided`. Ownerless and CLOSE_WAIT count what the filter selected.
void check_limits(ScanReport& report, const ScanLimits& limits);

/// Leaves the gauges of network namespaces and processes that a selected socket belongs to.
void keep_gauges_of_selected(ScanReport& report);

struct ScanTextOptions {
  bool list = false;     // every selected socket, a line each
  std::size_t top = 10;  // lines per section; 0 = all
  bool repeated = false; // one of several: say when
};
[[nodiscard]] std::string write_scan_text(const ScanReport& report, const ScanTextOptions& options);

/// Takes a text piece by piece.
using ScanSink = std::function<Result<void>(std::string_view)>;

/// sockleak.scan/1 (docs/scan.schema.json), one line per socket. In pieces, because there may be hundreds of thousands.
[[nodiscard]] Result<void> write_scan_json(const ScanReport& report, const ScanSink& sink);

}  // namespace sockleak
