// Which kernel hook serves which need. Each need has alternatives, best first; one is chosen by loading and attaching
// a trivial program of its kind (never by version or configuration), because kernels refuse at either step.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"

struct btf;

namespace sockleak {

enum class HookKind { kTracingBtf, kFentry, kCgroupSockCreate, kCgroupSockRelease, kIterator };

struct Hook {
  const char* need;       // "create"
  const char* name;       // "cgroup/sock_create"
  HookKind kind;
  const char* attach_to;  // tracepoint, function or iterator target; nullptr for cgroup hooks
  const char* program;    // in the skeleton
  const char* cost;       // what having it attached costs; "" = next to nothing
};

/// All hooks of all needs, alternatives of one need in order of preference.
[[nodiscard]] const std::vector<Hook>& all_hooks();

/// Loads, attaches and at once detaches a trivial program. `cgroup_fd` is the cgroup2 root.
[[nodiscard]] Result<void> try_hook(const Hook& hook, const btf& kernel_types, int cgroup_fd);

}  // namespace sockleak
