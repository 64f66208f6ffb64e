// What this kernel and these privileges allow, found by trying: a trivial program of each kind is loaded and attached,
// never a version compared. `doctor` prints it; the live source chooses its hooks by it.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"

namespace sockleak {

struct Feature {
  std::string need;      // "create", "accept", "privilege", "container", ...
  std::string name;      // "cgroup/sock_create", "BTF", "CAP_BPF"
  bool present = false;
  bool required = false;  // without it nothing can be traced
  std::string detail;     // why it is missing, or what it costs
  std::string remedy;     // how to get it; empty = nothing to do
};

[[nodiscard]] std::vector<Feature> probe_features();

/// Only what needs no trial: kernel types and privileges. Microseconds.
[[nodiscard]] std::vector<Feature> probe_basics();

/// The first required feature that is missing, as the error the user sees (exit status 3); nothing if all are there.
[[nodiscard]] Result<void> check_required(const std::vector<Feature>& features);

}  // namespace sockleak
