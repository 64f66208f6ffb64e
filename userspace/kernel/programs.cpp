#include "kernel/programs.hpp"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <set>
#include <string_view>

#include "base/log.hpp"
#include "kernel/cgroup_root.hpp"
#include "kernel/watched_types.hpp"
#include "process/wakers.hpp"
#include "sockleak_bpf_basic.skel.h"

namespace sockleak {
namespace {

using Btf = CPtr<btf, &btf__free>;

constexpr std::uint32_t kManyTargets = 131072;  // 4 MB; four times what kernel.pid_max is by default
constexpr const char* kAskDoctor = "sockleak doctor tells what this kernel and these privileges lack";

bool of_unix(const Hook& hook) { return std::string_view(hook.need).starts_with("unix-"); }

bool sees_calls(const Hook& hook) { return std::string_view(hook.name).ends_with("/sys_exit"); }

// The basic build has the maps and variables of the full one (and more), so that the full one's skeleton fits it. Its
// programs differ: they are found by name.
sockleak_bpf* open_basic() {
  auto* object = static_cast<sockleak_bpf*>(std::calloc(1, sizeof(sockleak_bpf)));
  if (object == nullptr) return nullptr;
  int error = sockleak_bpf__create_skeleton(object);
  if (error == 0) {
    std::size_t size = 0;
    object->skeleton->data = const_cast<void*>(sockleak_bpf_basic__elf_bytes(&size));
    object->skeleton->data_sz = size;
    object->skeleton->prog_cnt = 0;
    error = bpf_object__open_skeleton(object->skeleton, nullptr);
  }
  if (error == 0) return object;
  sockleak_bpf::destroy(object);
  errno = -error;
  return nullptr;
}

}  // namespace

Result<void> Programs::load(const Settings& settings) {
  // 5.10 accounts map memory to RLIMIT_MEMLOCK; later kernels do not care.
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_MEMLOCK, &unlimited);
  auto root = open_cgroup_root();
  if (!root) return tl::unexpected(root.error());
  cgroup_ = std::move(*root);
  const Btf types(btf__load_vmlinux_btf());
  if (!types) return fail_os(ErrorKind::kCannotTrace, "cannot read the kernel's types");
  build_ = try_socket_storage(*types) ? Build::kFull : Build::kBasic;
  auto hooks = choose_hooks(settings.hooks, build_, *types, cgroup_.get());
  if (!hooks) return tl::unexpected(hooks.error());
  hooks_ = std::move(*hooks);
  if (!watches_unix(settings.types)) std::erase_if(hooks_, [](const Hook& hook) { return of_unix(hook); });

  skeleton_.reset(build_ == Build::kFull ? sockleak_bpf::open() : open_basic());
  if (!skeleton_) return fail_os(ErrorKind::kCannotTrace, "cannot read the BPF programs");
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, skeleton_->obj) bpf_program__set_autoload(program, false);
  for (const Hook& hook : hooks_) {
    program = bpf_object__find_program_by_name(skeleton_->obj, hook.program);
    if (program != nullptr) bpf_program__set_autoload(program, true);
  }
  const int cpus = libbpf_num_possible_cpus();
  auto& config = skeleton_->rodata->sl_config;
  config.follow_children = settings.follow_children ? 1 : 0;
  config.copy_stacks = settings.copy_stacks ? 1 : 0;
  config.cpus = cpus > 0 ? static_cast<std::uint32_t>(cpus) : 1;
  config.event_ring_bytes = bpf_map__max_entries(skeleton_->maps.sl_events);
  config.own_tgid = static_cast<std::uint32_t>(::getpid());
  config.scope = settings.scope.kind == Scope::Kind::kAll      ? SL_SCOPE_ALL
                 : settings.scope.kind == Scope::Kind::kCgroup ? SL_SCOPE_CGROUP
                                                               : SL_SCOPE_PROCESSES;
  config.cgroup_id = settings.scope.cgroup;
  config.types = settings.types;
  if (::getrandom(&config.secret, sizeof(config.secret), GRND_NONBLOCK) < 0) config.secret = ::getpid();
  config.cgroup_level = settings.scope.level;
  config.tick_ns = tick_ns();
  find_wakers(config.wakers);
  for (const Hook& hook : hooks_) {
    if (of_unix(hook) && sees_calls(hook)) {
      config.unix_calls |= std::strcmp(hook.need, "unix-create") == 0 ? SL_UNIX_MADE : SL_UNIX_CLOSED;
    }
  }
  if (!watches_unix(settings.types)) bpf_map__set_max_entries(skeleton_->maps.sl_unix, 1);
  if ((config.unix_calls & SL_UNIX_CLOSED) == 0) bpf_map__set_max_entries(skeleton_->maps.sl_unix_fds, 1);
  if (config.scope != SL_SCOPE_PROCESSES) bpf_map__set_max_entries(skeleton_->maps.sl_targets, kManyTargets);
  if (const int error = sockleak_bpf::load(skeleton_.get()); error != 0) {
    return fail_os(ErrorKind::kCannotTrace, "cannot load the BPF programs", kAskDoctor, -error);
  }
  return {};
}

Result<void> Programs::attach() {
  int task_file = -1, tcp = -1, unix_sockets = -1;
  std::set<std::string_view> done;
  for (const Hook& hook : hooks_) {
    bpf_program* program = bpf_object__find_program_by_name(skeleton_->obj, hook.program);
    if (program == nullptr || hook.use == HookUse::kOnDemand) continue;
    attached_.push_back({hook.need, hook.name});
    if (!done.insert(hook.program).second) continue;  // one program for two needs
    Link link(is_cgroup(hook.kind) ? bpf_program__attach_cgroup(program, cgroup_.get())
                                   : bpf_program__attach(program));
    if (!link) return fail_os(ErrorKind::kCannotTrace, std::string("cannot attach to ") + hook.name, kAskDoctor);
    if (std::strcmp(hook.program, "sl_iter_task_file") == 0) task_file = bpf_link__fd(link.get());
    if (std::strcmp(hook.program, "sl_iter_tcp") == 0) tcp = bpf_link__fd(link.get());
    if (std::strcmp(hook.program, "sl_iter_unix") == 0) unix_sockets = bpf_link__fd(link.get());
    links_.push_back(std::move(link));
  }
  tables_ = KernelTables(task_file, tcp, unix_sockets);
  return {};
}

std::uint64_t Programs::skipped_runs() const {
  std::uint64_t skipped = 0;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, skeleton_->obj) {
    bpf_prog_info info{};
    std::uint32_t size = sizeof(info);
    const int fd = bpf_program__fd(program);
    if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) != 0 || info.recursion_misses == 0) continue;
    skipped += info.recursion_misses;
    log::debug(std::string(bpf_program__name(program)) + " was left out " + std::to_string(info.recursion_misses) + " times");
  }
  return skipped;
}

void Programs::attach_touches() {
  if (touches_attached_) return;
  touches_attached_ = true;
  for (const Hook& hook : hooks_) {
    bpf_program* program = bpf_object__find_program_by_name(skeleton_->obj, hook.program);
    if (program == nullptr || hook.use != HookUse::kOnDemand) continue;
    Link link(bpf_program__attach(program));
    if (!link) continue;
    links_.push_back(std::move(link));
    attached_.push_back({hook.need, hook.name});
  }
}

}  // namespace sockleak
