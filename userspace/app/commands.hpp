// The subcommands. Each returns the exit status, or the error that main prints.
#pragma once

#include "app/options.hpp"

namespace sockleak {

[[nodiscard]] Result<int> run_report(const Options& options);

// In a build without live tracing these say so.
[[nodiscard]] Result<int> run_destroy(const Options& options);
[[nodiscard]] Result<int> run_scan(const Options& options);
[[nodiscard]] Result<int> run_trace(const Options& options);
[[nodiscard]] Result<int> run_check(const Options& options);
[[nodiscard]] Result<int> run_doctor(const Options& options);

}  // namespace sockleak
