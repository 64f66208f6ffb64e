#include "kernel/kernel_features.hpp"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <cap-ng.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/perf_event.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "base/handle.hpp"
#include "kernel/cgroup_root.hpp"
#include "kernel/hooks.hpp"
#include "process/initial_namespaces.hpp"

namespace sockleak {
namespace {

using Btf = CPtr<btf, &btf__free>;

struct Capability {
  unsigned number;
  const char* name;
  bool required;
  const char* lost;
};

// CAP_SYS_ADMIN stands in for CAP_BPF and CAP_PERFMON (Linux commit 2c78ee898d8f, 5.8).
constexpr Capability kCapabilities[] = {
    {CAP_BPF, "CAP_BPF", true, "BPF programs cannot be loaded"},
    {CAP_PERFMON, "CAP_PERFMON", true, "tracing programs cannot be loaded"},
    {CAP_NET_ADMIN, "CAP_NET_ADMIN", true, "the socket hooks cannot be attached"},
    {CAP_SYS_PTRACE, "CAP_SYS_PTRACE", false, "other users' memory maps cannot be read: stacks stay without names"},
    {CAP_SYS_ADMIN, "CAP_SYS_ADMIN", false,
     "other network namespaces and deleted binaries cannot be opened (CAP_CHECKPOINT_RESTORE helps with the latter)"},
    {CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", false, "binaries that only their owner may read stay without names"},
    {CAP_KILL, "CAP_KILL", false, "destroy --stop-process can stop only our own user's processes"},
};

bool have(unsigned capability) {
  const bool admin = capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_ADMIN) != 0;
  if (capability == CAP_BPF || capability == CAP_PERFMON) {
    return admin || capng_have_capability(CAPNG_EFFECTIVE, capability) != 0;
  }
  return capng_have_capability(CAPNG_EFFECTIVE, capability) != 0;
}

/// Before 5.11 (bdb7b79b4ce8) maps count as locked memory, and the limit of that is raised by who has this capability; the
/// same release has brought the helper that is asked for.
void add_locked_memory(std::vector<Feature>& features) {
  rlimit limit{};
  if (have(CAP_SYS_RESOURCE) || getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_max == RLIM_INFINITY) return;
  if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_SOCKET_FILTER, BPF_FUNC_ktime_get_coarse_ns, nullptr) != 0) return;
  features.push_back({"privilege", "CAP_SYS_RESOURCE", false, true, "the maps of BPF programs exceed RLIMIT_MEMLOCK on this kernel",
                      "run as root, for example with sudo, or with ulimit -Hl unlimited"});
}

/// BPF programs speak of the host's processes, and the kernel asks for the host's privileges.
void add_container(std::vector<Feature>& features) {
  const bool processes = in_initial_pid_namespace();
  features.push_back({"container", "host's pid namespace", processes, true,
                      processes ? "" : "processes have other numbers here than in the kernel",
                      processes ? "" : "run on the host, or in a container with --pid=host"});
  const bool users = in_initial_user_namespace();
  features.push_back({"container", "host's user namespace", users, true,
                      users ? "" : "privileges do not count outside this container",
                      users ? "" : "run on the host, or in a container that is not rootless (--userns=host)"});
}

/// Needed by one fallback hook, where the kernel preempts tracing programs; reported always, because other tracers need it.
Feature tracefs(bool preempted) {
  struct statfs facts{};
  const bool mounted = statfs("/sys/kernel/tracing", &facts) == 0 && facts.f_type == TRACEFS_MAGIC;
  if (!preempted) return {"kernel", "tracefs", mounted, false, mounted ? "not needed" : "not needed: nothing is lost", {}};
  if (mounted) return {"kernel", "tracefs", true, false, "for --hooks fallback", {}};
  return {"kernel", "tracefs", false, false, "--hooks fallback misses what happens while its program is preempted",
          "mount -t tracefs tracefs /sys/kernel/tracing"};
}

/// See preempts_tracing().
Feature unpreempted(bool preempted) {
  return {"kernel", "tracing without preemption", !preempted, false,
          preempted ? "the kernel leaves out tracing programs at times: kprobes and cgroup hooks, which it does not, are preferred" : "",
          ""};
}

/// "none [integrity] confidentiality": kernel_lockdown(7).
Feature lockdown() {
  std::ifstream file("/sys/kernel/security/lockdown");
  std::string text;
  std::getline(file, text);
  const std::size_t begin = text.find('[');
  const std::string mode = begin == std::string::npos ? "" : text.substr(begin + 1, text.find(']') - begin - 1);
  Feature feature{"kernel", "reads of kernel memory", mode != "confidentiality", false, {}, {}};
  if (!feature.present) {
    feature.detail = "lockdown is in confidentiality mode: stacks cannot be walked, nor causes found through BPF";
    feature.remedy = "boot with lockdown=integrity or without Secure Boot";
  } else {
    feature.detail = mode.empty() ? "no lockdown is to be seen" : "lockdown: " + mode;
  }
  return feature;
}

Feature perf_events() {
  perf_event_attr attr{};
  attr.size = sizeof(attr);
  attr.type = PERF_TYPE_SOFTWARE;
  attr.config = PERF_COUNT_SW_DUMMY;
  attr.mmap2 = 1;
  attr.mmap = 1;
  const UniqueFd fd(static_cast<int>(syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC)));
  const std::string why = fd.valid() ? "" : std::strerror(errno);
  return {"mappings", "perf memory-map events", fd.valid(), false,
          fd.valid() ? "" : why + ": stacks of very short-lived programs may lack names",
          fd.valid() ? "" : "needs CAP_PERFMON and kernel.perf_event_paranoid below 3"};
}

/// A hook is required if it is the one that would be used: nothing better works, and nothing else is left.
Feature describe(const Hook& hook, const Result<std::vector<Hook>>& chosen, const btf& types, int cgroup) {
  const auto tried = try_hook(hook, types, cgroup);
  const bool used = chosen && std::any_of(chosen->begin(), chosen->end(), [&hook](const Hook& choice) {
    return std::strcmp(choice.program, hook.program) == 0 && std::strcmp(choice.need, hook.need) == 0;
  });
  Feature feature{hook.need, hook.name, tried.has_value(), used, {}, {}};
  if (!tried) feature.detail = tried.error().message() + (used ? "" : ": another hook is used");
  if (!tried && used) feature.remedy = "this kernel or a security policy refuses it";
  if (tried) feature.detail = used ? hook.cost : "not needed";
  return feature;
}

}  // namespace

std::vector<Feature> probe_basics() {
  std::vector<Feature> features;
  const bool types = access("/sys/kernel/btf/vmlinux", R_OK) == 0;
  features.push_back({"kernel", "BTF", types, true, types ? "" : "the kernel does not describe its types",
                      types ? "" : "use a kernel with CONFIG_DEBUG_INFO_BTF=y (every Debian kernel since 5.10)"});
  add_container(features);
  capng_get_caps_process();
  for (const Capability& capability : kCapabilities) {
    const bool present = have(capability.number);
    features.push_back({"privilege", capability.name, present, capability.required,
                        present ? "" : capability.lost, present ? "" : "run as root, for example with sudo"});
  }
  add_locked_memory(features);
  return features;
}

std::vector<Feature> probe_features() {
  std::vector<Feature> features = probe_basics();
  features.push_back(lockdown());
  auto root = open_cgroup_root();
  features.push_back({"kernel", "cgroup2 root", root.has_value(), true, root ? "" : root.error().message(),
                      root ? "" : root.error().hint});
  if (!check_required(features)) return features;  // the rest would only repeat it
  features.push_back(perf_events());
  const Btf types(btf__load_vmlinux_btf());
  if (!types) return features;
  const bool preempted = preempts_tracing(*types);
  features.push_back(unpreempted(preempted));
  features.push_back(tracefs(preempted));
  const auto storage = try_socket_storage(*types);
  features.push_back({"kernel", "socket storage in tracing", storage.has_value(), false,
                      storage ? "" : storage.error().message() + ": a table of 131072 sockets is used", ""});
  const Build build = storage ? Build::kFull : Build::kBasic;
  const int cgroup = root ? root->get() : -1;
  const auto chosen = choose_hooks(HookSet::kAuto, build, *types, cgroup);
  for (const Hook& hook : all_hooks()) {
    if (hook.where == HookWhere::kWherePreempted && !preempted) continue;
    if (hook.build == Build::kBoth || hook.build == build) features.push_back(describe(hook, chosen, *types, cgroup));
  }
  return features;
}

Result<void> check_required(const std::vector<Feature>& features) {
  for (const Feature& feature : features) {
    if (feature.required && !feature.present) {
      return fail(ErrorKind::kCannotTrace, "cannot trace: no " + feature.name + ", " + feature.detail, feature.remedy);
    }
  }
  return {};
}

}  // namespace sockleak
