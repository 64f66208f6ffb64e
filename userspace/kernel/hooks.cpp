#include "kernel/hooks.hpp"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <span>

#include "base/handle.hpp"

namespace sockleak {
namespace {

struct Attachment {
  bpf_prog_type type;
  bpf_attach_type attach;
  const char* prefix;  // of the BTF name
  std::uint32_t btf_kind;
};

Attachment attachment(HookKind kind) {
  switch (kind) {
    case HookKind::kTracingBtf: return {BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, "btf_trace_", BTF_KIND_TYPEDEF};
    case HookKind::kFentry: return {BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, "", BTF_KIND_FUNC};
    case HookKind::kFexit: return {BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT, "", BTF_KIND_FUNC};
    case HookKind::kTracepoint: return {BPF_PROG_TYPE_TRACEPOINT, BPF_CGROUP_INET_INGRESS, nullptr, 0};  // none: the first is 0
    case HookKind::kKprobe: return {BPF_PROG_TYPE_KPROBE, BPF_CGROUP_INET_INGRESS, nullptr, 0};
    case HookKind::kSockOps: return {BPF_PROG_TYPE_SOCK_OPS, BPF_CGROUP_SOCK_OPS, nullptr, 0};
    case HookKind::kIterator: return {BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, "bpf_iter_", BTF_KIND_FUNC};
    case HookKind::kCgroupSockCreate:
      return {BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_CREATE, nullptr, 0};
    case HookKind::kCgroupSockRelease:
      return {BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_RELEASE, nullptr, 0};
  }
  return {};
}

constexpr const char* kUnixCost =
    "the same program as for accept; what neither close() nor the end of a process closed is found gone every 2 s, its "
    "close unseen";
constexpr const char* kSameProgram = "the same program as for accept";
constexpr const char* kNeverSkipped = "a second look at each socket made, connected or closed, which a preemptible kernel never leaves out";
constexpr const char* kTracefs = "/sys/kernel/tracing";
constexpr const char* kTouchCost = "a look-up per read and write of the targets, once a site is suspected or keeps three sockets open for 2 s";

bool is_trampoline(HookKind kind) { return kind == HookKind::kFentry || kind == HookKind::kFexit; }

bool is_perf_event(HookKind kind) { return kind == HookKind::kKprobe || kind == HookKind::kTracepoint; }

/// A probe on that function, or that tracepoint, which runs `program`.
Result<void> try_perf_event(const Hook& hook, int program) {
  perf_event_attr attributes{};
  attributes.size = sizeof(attributes);
  if (hook.kind == HookKind::kKprobe) {
    std::ifstream file("/sys/bus/event_source/devices/kprobe/type");
    attributes.config1 = reinterpret_cast<std::uintptr_t>(hook.attach_to);
    if (!(file >> attributes.type)) return fail(ErrorKind::kCannotTrace, "this kernel has no kprobes");
  } else {
    std::ifstream file(std::string(kTracefs) + "/events/" + hook.attach_to + "/id");
    attributes.type = PERF_TYPE_TRACEPOINT;
    if (!(file >> attributes.config)) return fail(ErrorKind::kCannotTrace, std::string("no tracefs on ") + kTracefs);
  }
  const UniqueFd event(static_cast<int>(syscall(SYS_perf_event_open, &attributes, -1, 0, -1, PERF_FLAG_FD_CLOEXEC)));
  if (!event.valid() || ioctl(event.get(), PERF_EVENT_IOC_SET_BPF, program) != 0) {
    return fail_os(ErrorKind::kCannotTrace, std::string("cannot attach to ") + hook.name);
  }
  return {};
}

// r0 = 0; exit
constexpr bpf_insn kDoesNothing[] = {
    {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
    {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
};

/// `name`: of the tracepoint's BTF type. An invalid descriptor if the kernel has none or refuses the program.
UniqueFd load_for_tracepoint(const btf& kernel_types, const char* name, std::span<const bpf_insn> program,
                             std::uint32_t flags = 0) {
  const int id = btf__find_by_name_kind(&kernel_types, name, BTF_KIND_TYPEDEF);
  if (id < 0) return {};
  LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_TRACE_RAW_TP, .prog_flags = flags);
  options.attach_btf_id = static_cast<std::uint32_t>(id);
  return UniqueFd(bpf_prog_load(BPF_PROG_TYPE_TRACING, "sl_trial", "GPL", program.data(), program.size(), &options));
}

bool exists_in(const Hook& hook, Build build) { return hook.build == Build::kBoth || hook.build == build; }

bool same_need(const Hook& a, const Hook& b) { return std::strcmp(a.need, b.need) == 0; }

bool belongs(const Hook& hook, HookSet set) {
  if (set == HookSet::kKprobe) return !is_trampoline(hook.kind);
  if (set != HookSet::kFallback || hook.use != HookUse::kAlways) return true;
  return !is_trampoline(hook.kind) && hook.kind != HookKind::kKprobe;
}

/// Where tracing programs are left out now and then, a probe's higher price is worth it.
void put_probes_first(std::vector<Hook>& hooks) {
  for (auto first = hooks.begin(); first != hooks.end();) {
    const auto end = std::find_if(first, hooks.end(), [&](const Hook& hook) { return !same_need(*first, hook); });
    std::stable_partition(first, end, [](const Hook& hook) { return hook.kind == HookKind::kKprobe; });
    first = end;
  }
}

}  // namespace

bool is_cgroup(HookKind kind) {
  return kind == HookKind::kCgroupSockCreate || kind == HookKind::kCgroupSockRelease || kind == HookKind::kSockOps;
}

const std::vector<Hook>& all_hooks() {
  static const std::vector<Hook> hooks{
      // First, so that nothing the others note of a socket can outlive it, and every connection they see has a cookie.
      {"gone", "tp_btf/tcp_destroy_sock", HookKind::kTracingBtf, "tcp_destroy_sock", "sl_tcp_destroy_sock", ""},
      {"cookie", "sockops", HookKind::kSockOps, nullptr, "sl_sock_ops", "", Build::kBasic},
      {"cookie-too", "sockops", HookKind::kSockOps, nullptr, "sl_sock_ops", kNeverSkipped, Build::kFull, HookUse::kIfThere,
       HookWhere::kWherePreempted},
      {"unix-close", "fentry/unix_release", HookKind::kFentry, "unix_release", "sl_unix_release", ""},
      {"unix-close", "kprobe/unix_release", HookKind::kKprobe, "unix_release", "sl_kprobe_unix_release", ""},
      {"unix-close", "tp/raw_syscalls/sys_exit", HookKind::kTracepoint, "raw_syscalls/sys_exit", "sl_trace_sys_exit",
       kUnixCost, Build::kFull, HookUse::kAlways, HookWhere::kWherePreempted},
      {"unix-close", "tp_btf/sys_exit", HookKind::kTracingBtf, "sys_exit", "sl_sys_exit", kUnixCost},
      {"unix-create", "fentry/security_socket_post_create", HookKind::kFentry, "security_socket_post_create",
       "sl_socket_post_create", ""},
      {"unix-create", "kprobe/security_socket_post_create", HookKind::kKprobe, "security_socket_post_create",
       "sl_kprobe_post_create", ""},
      {"unix-create", "tp/raw_syscalls/sys_exit", HookKind::kTracepoint, "raw_syscalls/sys_exit", "sl_trace_sys_exit",
       kSameProgram, Build::kFull, HookUse::kAlways, HookWhere::kWherePreempted},
      {"unix-create", "tp_btf/sys_exit", HookKind::kTracingBtf, "sys_exit", "sl_sys_exit", kSameProgram},
      {"unix-sockets", "iter/unix", HookKind::kIterator, "unix", "sl_iter_unix", "", Build::kBoth, HookUse::kIfThere},
      {"create", "fentry/security_socket_post_create", HookKind::kFentry, "security_socket_post_create",
       "sl_socket_post_create", "", Build::kFull},
      {"create", "cgroup/sock_create", HookKind::kCgroupSockCreate, nullptr, "sl_sock_create", ""},
      {"create-too", "cgroup/sock_create", HookKind::kCgroupSockCreate, nullptr, "sl_sock_create", kNeverSkipped,
       Build::kFull, HookUse::kIfThere},
      {"accept", "fentry/security_sock_graft", HookKind::kFentry, "security_sock_graft", "sl_sock_graft", ""},
      {"accept", "kprobe/security_sock_graft", HookKind::kKprobe, "security_sock_graft", "sl_kprobe_sock_graft", ""},
      {"accept", "tp/raw_syscalls/sys_exit", HookKind::kTracepoint, "raw_syscalls/sys_exit", "sl_trace_sys_exit",
       "about 100 ns on every system call of the machine while attached", Build::kFull, HookUse::kAlways, HookWhere::kWherePreempted},
      {"accept", "tp_btf/sys_exit", HookKind::kTracingBtf, "sys_exit", "sl_sys_exit",
       "about 75 ns on every system call of the machine while attached"},
      {"ring", "tp_btf/io_uring_complete", HookKind::kTracingBtf, "io_uring_complete", "sl_io_uring_complete", "",
       Build::kFull, HookUse::kIfThere},
      {"receive", "fentry/security_file_receive", HookKind::kFentry, "security_file_receive", "sl_file_receive", "",
       Build::kFull},
      {"receive", "kprobe/security_file_receive", HookKind::kKprobe, "security_file_receive", "sl_kprobe_file_receive", ""},
      {"receive", "tp/raw_syscalls/sys_exit", HookKind::kTracepoint, "raw_syscalls/sys_exit", "sl_trace_sys_exit",
       kSameProgram, Build::kFull, HookUse::kAlways, HookWhere::kWherePreempted},
      {"receive", "tp_btf/sys_exit", HookKind::kTracingBtf, "sys_exit", "sl_sys_exit", kSameProgram},
      {"release", "fentry/inet_release", HookKind::kFentry, "inet_release", "sl_inet_release", ""},
      {"release", "cgroup/sock_release", HookKind::kCgroupSockRelease, nullptr, "sl_sock_release", ""},
      {"release-too", "cgroup/sock_release", HookKind::kCgroupSockRelease, nullptr, "sl_sock_release", kNeverSkipped,
       Build::kBoth, HookUse::kIfThere},
      {"state", "tp_btf/inet_sock_set_state", HookKind::kTracingBtf, "inet_sock_set_state", "sl_inet_sock_set_state",
       ""},
      {"read", "tp_btf/sock_recv_length", HookKind::kTracingBtf, "sock_recv_length", "sl_sock_recv_length",
       kTouchCost, Build::kBoth, HookUse::kOnDemand},
      {"read", "fexit/inet_recvmsg", HookKind::kFexit, "inet_recvmsg", "sl_inet_recvmsg", kTouchCost, Build::kBoth, HookUse::kOnDemand},
      {"write", "tp_btf/sock_send_length", HookKind::kTracingBtf, "sock_send_length", "sl_sock_send_length",
       kTouchCost, Build::kBoth, HookUse::kOnDemand},
      {"write", "fexit/inet_sendmsg", HookKind::kFexit, "inet_sendmsg", "sl_inet_sendmsg", kTouchCost, Build::kBoth,
       HookUse::kOnDemand},
      {"fork", "tp_btf/sched_process_fork", HookKind::kTracingBtf, "sched_process_fork", "sl_sched_process_fork", ""},
      {"exec", "tp_btf/sched_process_exec", HookKind::kTracingBtf, "sched_process_exec", "sl_sched_process_exec", ""},
      {"exit", "tp_btf/sched_process_exit", HookKind::kTracingBtf, "sched_process_exit", "sl_sched_process_exit", ""},
      {"free", "tp_btf/sched_process_free", HookKind::kTracingBtf, "sched_process_free", "sl_sched_process_free", ""},
      {"holders", "iter/task_file", HookKind::kIterator, "task_file", "sl_iter_task_file", ""},
      {"sockets", "iter/tcp", HookKind::kIterator, "tcp", "sl_iter_tcp", ""},
  };
  return hooks;
}

Result<void> try_hook(const Hook& hook, const btf& kernel_types, int cgroup_fd) {
  // r0 = 1 (cgroup programs must allow), or 0 (tracing); exit
  const bpf_insn program[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = is_cgroup(hook.kind) ? 1 : 0},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
  };
  const Attachment how = attachment(hook.kind);
  LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = how.attach);
  if (how.prefix != nullptr) {
    const std::string name = std::string(how.prefix) + hook.attach_to;
    const int id = btf__find_by_name_kind(&kernel_types, name.c_str(), how.btf_kind);
    if (id < 0) return fail(ErrorKind::kCannotTrace, std::string("this kernel has no ") + hook.attach_to);
    options.attach_btf_id = static_cast<std::uint32_t>(id);
  }
  const UniqueFd loaded(bpf_prog_load(how.type, "sl_trial", "GPL", program, 2, &options));
  if (!loaded.valid()) return fail_os(ErrorKind::kCannotTrace, std::string("cannot load a program for ") + hook.name);

  if (is_perf_event(hook.kind)) return try_perf_event(hook, loaded.get());
  if (is_cgroup(hook.kind)) {
    const UniqueFd link(bpf_link_create(loaded.get(), cgroup_fd, how.attach, nullptr));
    if (!link.valid()) return fail_os(ErrorKind::kCannotTrace, std::string("cannot attach to ") + hook.name);
    return {};
  }
  // Up to 5.17 only this call attaches trampolines (Linux commit 8462e0b46fe2 brought them to link_create).
  const UniqueFd link(hook.kind == HookKind::kIterator ? bpf_link_create(loaded.get(), 0, how.attach, nullptr)
                                                       : bpf_raw_tracepoint_open(nullptr, loaded.get()));
  if (!link.valid()) return fail_os(ErrorKind::kCannotTrace, std::string("cannot attach to ") + hook.name);
  return {};
}

Result<void> try_socket_storage(const btf& kernel_types) {
  // r1 = sk; if (r1) bpf_get_socket_cookie(r1); 5.12 allowed it, one release after the storage
  const bpf_insn program[] = {
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 1, .off = 0, .imm = 0},
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 1, .src_reg = 0, .off = 1, .imm = 0},
      {.code = BPF_JMP | BPF_CALL, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = BPF_FUNC_get_socket_cookie},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
  };
  if (load_for_tracepoint(kernel_types, "btf_trace_inet_sock_set_state", program).valid()) return {};
  return fail_os(ErrorKind::kCannotTrace, "tracing programs may not ask for socket cookies");
}

bool preempts_tracing(const btf& kernel_types) {
  return load_for_tracepoint(kernel_types, "btf_trace_sys_exit", kDoesNothing, BPF_F_SLEEPABLE).valid();
}

Result<std::vector<Hook>> choose_hooks(HookSet set, Build build, const btf& kernel_types, int cgroup_fd) {
  const bool preempted = preempts_tracing(kernel_types);
  std::vector<Hook> candidates, chosen;
  for (const Hook& hook : all_hooks()) {
    if (exists_in(hook, build) && belongs(hook, set) && (preempted || hook.where == HookWhere::kAnywhere)) {
      candidates.push_back(hook);
    }
  }
  if (preempted && set == HookSet::kAuto) put_probes_first(candidates);
  for (auto hook = candidates.begin(); hook != candidates.end(); ++hook) {
    if (!chosen.empty() && same_need(chosen.back(), *hook)) continue;  // served
    const auto same_program = [&](const Hook& other) { return std::strcmp(other.program, hook->program) == 0; };
    if (is_cgroup(hook->kind) && std::any_of(chosen.begin(), chosen.end(), same_program)) continue;  // not once more
    const auto next = hook + 1;
    const bool last = next == candidates.end() || !same_need(*hook, *next);
    if (hook->use != HookUse::kAlways) {
      if (!try_hook(*hook, kernel_types, cgroup_fd)) continue;
    } else if (!last) {
      if (auto tried = try_hook(*hook, kernel_types, cgroup_fd); !tried) {
        if (set == HookSet::kAuto || set == HookSet::kFallback) continue;
        return fail(ErrorKind::kCannotTrace,
                    std::string("--hooks ") + (set == HookSet::kKprobe ? "kprobe: " : "preferred: ") + tried.error().message(),
                    "--hooks auto takes what this kernel allows");
      }
    }
    chosen.push_back(*hook);
  }
  return chosen;
}

}  // namespace sockleak
