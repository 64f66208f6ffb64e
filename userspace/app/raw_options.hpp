// Options as they were typed, and their meaning: what each may be, and what cannot be meant together.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "app/options.hpp"

namespace sockleak {

/// What the user typed, before it is understood.
struct RawOptions {
  std::vector<std::string> pids, types, formats, recordings, filter;
  std::vector<std::string> only;
  std::string max_port_use, max_close_wait, max_ownerless, fail_on, warmup;
  std::string duration, older, interval, settle, output, ready_fd, top, max_leaks, leak_exit_code, record, user, hooks, go_ancestors;
  std::string cgroup, container;
  bool all = false, no_children = false, no_snapshot = false, debuginfod = false, json = false, quiet = false, verbose = false, no_color = false, list = false;
  bool destroy_leftovers = false;
  RawDestroyOptions destroy;
};

/// In quotes, and harmless to a terminal.
[[nodiscard]] std::string quote(std::string_view text);

/// `dashes`: whether there was a "--", before which `options` already has its subcommand and command.
[[nodiscard]] Result<Options> understand(const RawOptions& raw, Options options, bool dashes);

}  // namespace sockleak
