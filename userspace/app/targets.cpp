#include "app/targets.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.hpp"
#include "base/text.hpp"
#include "kernel/cgroup_root.hpp"
#include "process/cgroups.hpp"

namespace sockleak {
namespace {

namespace fs = std::filesystem;

/// A pidfd is readable once the process has ended, also while it is a zombie.
[[nodiscard]] bool has_ended(const UniqueFd& pidfd) {
  pollfd ready{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
  return ::poll(&ready, 1, 0) > 0;
}

[[nodiscard]] std::vector<Pid> others(std::vector<Pid> pids) {
  std::erase(pids, Pid{static_cast<std::uint32_t>(::getpid())});
  return pids;
}

/// A private mount has no name; its descriptor has.
[[nodiscard]] fs::path path_of(const UniqueFd& directory) {
  return "/proc/self/fd/" + std::to_string(directory.get());
}

constexpr const char* kFindContainer = "docker ps --no-trunc (or podman, crictl) shows the ids";

[[nodiscard]] std::string listed(const std::vector<ContainerCgroup>& containers) {
  constexpr std::size_t kShown = 8;
  std::string out;
  for (std::size_t i = 0; i < std::min(containers.size(), kShown); ++i) {
    out += (i == 0 ? "" : ", ") + containers[i].id.substr(0, 16) + " (" + escape_terminal(containers[i].path) + ")";
  }
  return containers.size() > kShown ? out + " and others" : out;
}

}  // namespace

Result<Targets> Targets::find(const Options& options, const Procfs& procfs) {
  if (!options.cgroup.empty()) return find_cgroup(options.cgroup);
  if (!options.container.empty()) return find_container(options.container);
  if (options.all) return everybody(procfs);
  return find_processes(options.pids, procfs);
}

Result<Targets> Targets::find_processes(const std::vector<Pid>& pids, const Procfs& procfs) {
  Targets targets;
  targets.facts_.kind = "pid";
  for (const Pid given : pids) {
    const std::string name = std::to_string(given.value);
    const Pid pid = procfs.thread_group(given).value_or(given);
    if (pid != given) {
      log::warning(name + " is a thread of process " + std::to_string(pid.value) + ": watching the whole process");
    }
    if (std::find(targets.facts_pids_.begin(), targets.facts_pids_.end(), pid) != targets.facts_pids_.end()) continue;
    UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid.value, 0)));
    if (!pidfd.valid() && errno == ESRCH) {
      return fail(ErrorKind::kUsage, "there is no process " + name, "find it with pgrep, or start it: -- COMMAND");
    }
    if (!pidfd.valid()) return fail_os(ErrorKind::kCannotTrace, "cannot watch process " + name);
    if (has_ended(pidfd)) {
      return fail(ErrorKind::kUsage, "process " + name + " has ended", "its parent has not waited for it yet");
    }
    targets.facts_pids_.push_back(pid);
    targets.pidfds_.push_back(std::move(pidfd));
  }
  return targets;
}

Result<Targets> Targets::find_cgroup(const std::string& path) {
  auto root = open_cgroup_root();
  if (!root) return tl::unexpected(root.error());
  auto group = open_cgroup(*root, path);
  if (!group) return tl::unexpected(group.error());
  Targets targets;
  targets.facts_.kind = "cgroup";
  targets.facts_.path = group->path;
  targets.scope_.kind = Scope::Kind::kCgroup;
  targets.scope_.cgroup = group->id;
  targets.scope_.level = group->level;
  targets.group_fd_ = std::move(group->directory);
  targets.take_group(path_of(targets.group_fd_));
  return targets;
}

/// Hybrid hosts may have a container in v1 hierarchies only. There the kernel side cannot ask who is in it: the processes
/// that are found in it are watched, and their children.
Result<Targets> Targets::find_container(const std::string& prefix) {
  auto root = open_cgroup_root();
  if (!root) return tl::unexpected(root.error());
  const fs::path unified = path_of(*root);
  const auto systemd = mount_point("/proc/self/mounts", "cgroup", "name=systemd");
  auto found = find_containers(unified, prefix);
  const bool in_unified = !found.empty() && (!systemd || !processes_of(unified / found[0].path.substr(1)).empty());
  if (systemd && !in_unified) {
    if (auto v1 = find_containers(*systemd, prefix); !v1.empty()) found = std::move(v1);
  }
  const std::string name = "container whose id begins with " + prefix;
  if (found.empty()) return fail(ErrorKind::kUsage, "there is no " + name, kFindContainer);
  if (found.size() > 1) {
    return fail(ErrorKind::kUsage, "there is more than one " + name + ": " + listed(found), "give more digits");
  }
  if (in_unified || !systemd || !fs::exists(*systemd / found[0].path.substr(1))) {
    auto targets = find_cgroup(found[0].path);
    if (!targets) return targets;
    targets->facts_.kind = "container";
    targets->facts_.id = found[0].id;
    return targets;
  }
  Targets targets;
  targets.facts_.kind = "container";
  targets.facts_.path = found[0].path;
  targets.facts_.id = found[0].id;
  const fs::path directory = *systemd / found[0].path.substr(1);
  targets.group_fd_.reset(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  targets.take_group(directory);
  if (targets.facts_pids_.empty()) {
    return fail(ErrorKind::kUsage, "no process is in container " + found[0].id.substr(0, 12), "start it first");
  }
  return targets;
}

void Targets::take_group(const fs::path& directory) {
  group_ = directory;
  scope_.members = [directory] { return others(processes_of(directory)); };
  facts_pids_ = scope_.members();
}

Targets Targets::everybody(const Procfs& procfs) {
  Targets targets;
  targets.facts_.kind = "all";
  targets.scope_.kind = Scope::Kind::kAll;
  targets.scope_.members = [procfs] { return others(procfs.programs()); };
  return targets;
}

bool Targets::ended() const {
  if (group_fd_.valid()) return ::faccessat(group_fd_.get(), "cgroup.procs", F_OK, 0) != 0;
  if (is_scope()) return false;
  return std::all_of(pidfds_.begin(), pidfds_.end(), has_ended);
}

}  // namespace sockleak
