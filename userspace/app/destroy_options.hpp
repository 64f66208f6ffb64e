// What `sockleak destroy` is asked to do.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace sockleak {

struct DestroyOptions {
  std::string filter;  // words of the filter language; empty = none
  std::string from;    // a JSON report; empty = none
  std::string site;    // of that report; empty = every finding
  bool yes = false;
  bool dry_run = false;
  bool even_mine = false;
  bool shutdown = false;
  bool stop_process = false;
  Duration grace = std::chrono::seconds(10);
  std::optional<unsigned> per_second;
};

struct RawDestroyOptions {
  std::vector<std::string> filter;
  std::string from, site, grace, rate;
  bool yes = false, dry_run = false, even_mine = false, shutdown = false, stop_process = false;
};

/// With --destroy of trace and check.
[[nodiscard]] Result<DestroyOptions> understand_leftovers(const RawDestroyOptions& raw, bool wanted);

/// `any_pid`: whether -p was given.
[[nodiscard]] Result<DestroyOptions> understand(const RawDestroyOptions& raw, bool any_pid);

}  // namespace sockleak
