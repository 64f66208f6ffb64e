#include "source/kernel_features.hpp"

#include <bpf/btf.h>
#include <cap-ng.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/handle.hpp"
#include "source/cgroup_root.hpp"
#include "source/hooks.hpp"

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
};

bool have(unsigned capability) {
  const bool admin = capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_ADMIN) != 0;
  if (capability == CAP_BPF || capability == CAP_PERFMON) {
    return admin || capng_have_capability(CAPNG_EFFECTIVE, capability) != 0;
  }
  return capng_have_capability(CAPNG_EFFECTIVE, capability) != 0;
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
    return std::strcmp(choice.program, hook.program) == 0;
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
  capng_get_caps_process();
  for (const Capability& capability : kCapabilities) {
    const bool present = have(capability.number);
    features.push_back({"privilege", capability.name, present, capability.required,
                        present ? "" : capability.lost, present ? "" : "run as root, for example with sudo"});
  }
  return features;
}

std::vector<Feature> probe_features() {
  std::vector<Feature> features = probe_basics();
  if (!check_required(features)) return features;  // the rest would only repeat it
  auto root = open_cgroup_root();
  features.push_back({"kernel", "cgroup2 root", root.has_value(), true, root ? "" : root.error().message(),
                      root ? "" : root.error().hint});
  features.push_back(perf_events());
  const Btf types(btf__load_vmlinux_btf());
  if (!types) return features;
  const auto storage = try_socket_storage(*types);
  features.push_back({"kernel", "socket storage in tracing", storage.has_value(), false,
                      storage ? "" : storage.error().message() + ": a table of 131072 sockets is used", ""});
  const Build build = storage ? Build::kFull : Build::kBasic;
  const int cgroup = root ? root->get() : -1;
  const auto chosen = choose_hooks(HookSet::kAuto, build, *types, cgroup);
  for (const Hook& hook : all_hooks()) {
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
