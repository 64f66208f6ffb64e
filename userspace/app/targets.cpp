#include "app/targets.hpp"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "base/log.hpp"

namespace sockleak {
namespace {

/// A pidfd is readable once the process has ended, also while it is a zombie.
[[nodiscard]] bool has_ended(const UniqueFd& pidfd) {
  pollfd ready{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
  return ::poll(&ready, 1, 0) > 0;
}

}  // namespace

Result<Targets> Targets::find(const std::vector<Pid>& pids, const Procfs& procfs) {
  Targets targets;
  for (const Pid given : pids) {
    const std::string name = std::to_string(given.value);
    const Pid pid = procfs.thread_group(given).value_or(given);
    if (pid != given) {
      log::warning(name + " is a thread of process " + std::to_string(pid.value) + ": watching the whole process");
    }
    if (std::find(targets.pids_.begin(), targets.pids_.end(), pid) != targets.pids_.end()) continue;
    UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid.value, 0)));
    if (!pidfd.valid() && errno == ESRCH) {
      return fail(ErrorKind::kUsage, "there is no process " + name, "find it with pgrep, or start it: -- COMMAND");
    }
    if (!pidfd.valid()) return fail_os(ErrorKind::kCannotTrace, "cannot watch process " + name);
    if (has_ended(pidfd)) {
      return fail(ErrorKind::kUsage, "process " + name + " has ended", "its parent has not waited for it yet");
    }
    targets.pids_.push_back(pid);
    targets.pidfds_.push_back(std::move(pidfd));
  }
  return targets;
}

bool Targets::ended() const {
  return std::all_of(pidfds_.begin(), pidfds_.end(), has_ended);
}

}  // namespace sockleak
