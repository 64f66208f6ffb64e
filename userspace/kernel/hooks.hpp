// Which kernel hook serves which need. Each need has alternatives, best first; one is chosen by loading and attaching
// a trivial program of its kind (never by version or configuration), because kernels refuse at either step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"

struct btf;

namespace sockleak {

enum class HookKind : std::uint8_t {
  kTracingBtf, kTracepoint, kFentry, kFexit, kKprobe, kCgroupSockCreate, kCgroupSockRelease, kSockOps, kIterator
};

/// --hooks: the best of each need that works, only the first, the best but trampolines, or what is left where there are
/// neither trampolines nor probes.
enum class HookSet : std::uint8_t { kAuto, kPreferred, kKprobe, kFallback };

/// The BPF programs are built twice: with socket storage, and for kernels that refuse it to tracing programs.
enum class Build : std::uint8_t { kFull, kBasic, kBoth };

/// Tracing works without the last two; kOnDemand is attached when it is asked for.
enum class HookUse : std::uint8_t { kAlways, kIfThere, kOnDemand };

/// Some hooks are only worth their price where a processor that has preempted a tracing program leaves it out.
enum class HookWhere : std::uint8_t { kAnywhere, kWherePreempted };

struct Hook {
  const char* need;       // "create"
  const char* name;       // "cgroup/sock_create"
  HookKind kind;
  const char* attach_to;  // tracepoint, function or iterator target; nullptr for cgroup hooks
  const char* program;    // in the skeleton
  const char* cost;       // what having it attached costs; "" = next to nothing
  Build build = Build::kBoth;  // where the program exists
  HookUse use = HookUse::kAlways;
  HookWhere where = HookWhere::kAnywhere;
};

/// What was chosen, for people.
struct HookFact {
  std::string need;  // "create" ...
  std::string hook;  // "cgroup/sock_create"
};

/// Attached to the cgroup2 root rather than to the kernel.
[[nodiscard]] bool is_cgroup(HookKind kind);

/// All hooks of all needs, alternatives of one need together and in order of preference.
[[nodiscard]] const std::vector<Hook>& all_hooks();

/// Loads, attaches and at once detaches a trivial program. `cgroup_fd` is the cgroup2 root.
[[nodiscard]] Result<void> try_hook(const Hook& hook, const btf& kernel_types, int cgroup_fd);

/// Whether tracing programs may use socket storage and ask for cookies: the full build loads.
[[nodiscard]] Result<void> try_socket_storage(const btf& kernel_types);

/// Whether the kernel preempts tracing programs. Until the program goes on, its processor leaves it out for everybody else
/// (struct bpf_prog's `active`); cgroup programs, kprobes and classic tracepoints it never leaves out for that. Found out by
/// loading a program that may sleep at a system call's tracepoint: where it may sleep, it may be preempted.
[[nodiscard]] bool preempts_tracing(const btf& kernel_types);

/// One hook for each need of `build`. The last alternative of a need is not tried: attaching it will tell. Those that
/// tracing works without are tried all, and left out if none works.
[[nodiscard]] Result<std::vector<Hook>> choose_hooks(HookSet set, Build build, const btf& kernel_types, int cgroup_fd);

}  // namespace sockleak
