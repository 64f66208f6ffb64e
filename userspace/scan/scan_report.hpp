// What one scan says, ready to print: a snapshot with its causes, what the filter left of it, and the gauges.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

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
  std::vector<PortReport> ports;
  std::vector<std::string> exceeded;  // limits, a sentence each: exit status 1
};

/// CLOSE_WAIT, not ownerless: the peer closed and the program did not.
[[nodiscard]] bool is_close_wait(const ScanSocket& socket);

/// Which limits the report exceeds. Ownerless and CLOSE_WAIT count what the filter selected.
[[nodiscard]] std::vector<std::string> exceeded_limits(const ScanReport& report, const ScanLimits& limits);

struct ScanTextOptions {
  bool list = false;     // every selected socket, a line each
  std::size_t top = 10;  // lines per section; 0 = all
};
[[nodiscard]] std::string write_scan_text(const ScanReport& report, const ScanTextOptions& options);

/// sockleak.scan/1 (docs/scan.schema.json), one line per socket.
[[nodiscard]] std::string write_scan_json(const ScanReport& report);

/// What a setting does and does not do.
[[nodiscard]] const char* meaning_of(std::string_view setting);

}  // namespace sockleak
