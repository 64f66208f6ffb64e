#include "act/stop_process.hpp"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>

#include "act/shutdown.hpp"

namespace sockleak::act {
namespace {

/// A killed process is gone as soon as it runs; one that is not is stuck in the kernel, and no signal helps.
constexpr std::chrono::seconds kAfterKill{5};

[[nodiscard]] std::string name_of(const SocketHolder& holder) {
  return holder.comm + " (" + std::to_string(holder.pid.value) + ')';
}

[[nodiscard]] int send(const UniqueFd& process, int number) {
  return ::syscall(SYS_pidfd_send_signal, process.get(), number, nullptr, 0) == 0 ? 0 : errno;
}

/// Opens the holder and proves through the descriptor itself that it has the socket.
void consider(const SocketFacts& socket, const SocketHolder& holder, const Guards& guards, StoppableHolders& out) {
  const bool own = std::find(guards.own.begin(), guards.own.end(), holder.pid) != guards.own.end();
  if (holder.pid.value == 1 || own) {
    out.refused.push_back(name_of(holder) + " is not stopped: " +
                          (own ? "sockleak was started from it" : "it is the system's first process"));
    return;
  }
  UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, holder.pid.value, 0)));
  if (!process.valid()) return;  // ended meanwhile
  SocketFacts only = socket;
  only.holders = {holder};
  // The pidfd was opened before this proof and the proof's own after it: both are the process that holds the socket.
  if (!borrow(only).valid()) {
    if (errno != ENOENT) {
      out.refused.push_back(name_of(holder) + " is not stopped: whether it holds the socket cannot be verified " +
                            "(needs CAP_SYS_PTRACE)");
    }
    return;
  }
  if (send(process, 0) != 0) return;
  std::ifstream file("/proc/" + std::to_string(holder.pid.value) + "/cgroup");
  const std::string cgroups{std::istreambuf_iterator<char>(file), {}};
  out.processes.push_back({holder.pid, holder.comm, service_of(cgroups), std::move(process)});
}

}  // namespace

StoppableHolders stoppable_holders(const Plan& plan, const Guards& guards) {
  StoppableHolders out;
  std::vector<Pid> seen;
  for (const Step& step : plan.steps) {
    if (!step.allowed || !is_held(step.socket)) continue;
    for (const SocketHolder& holder : step.socket.holders) {
      if (holder.via != Via::kDescriptor) continue;
      if (std::find(seen.begin(), seen.end(), holder.pid) != seen.end()) continue;
      seen.push_back(holder.pid);
      consider(step.socket, holder, guards, out);
    }
  }
  return out;
}

const char* to_string(StopOutcome outcome) {
  switch (outcome) {
    case StopOutcome::kEnded:
      return "ended after SIGTERM";
    case StopOutcome::kKilled:
      return "killed";
    case StopOutcome::kStillThere:
      return "does not end, not even by SIGKILL: it is stuck in the kernel";
    case StopOutcome::kLeftAlone:
      return "was not waited for: interrupted";
    case StopOutcome::kNotPermitted:
      return "may not be signalled: needs CAP_KILL";
  }
  return "killed";
}

std::vector<StopOutcome> stop(std::span<const Stoppable> holders, const StopOptions& options) {
  using Clock = std::chrono::steady_clock;
  std::vector<StopOutcome> outcomes(holders.size(), StopOutcome::kLeftAlone);
  std::vector<bool> asked(holders.size(), false);
  for (std::size_t i = 0; i < holders.size() && !options.interrupted(); ++i) {
    const int error = send(holders[i].process, SIGTERM);
    asked[i] = error == 0;
    if (error == EPERM) outcomes[i] = StopOutcome::kNotPermitted;
    if (error == ESRCH) outcomes[i] = StopOutcome::kEnded;
  }
  const auto end = Clock::now() + options.grace;
  for (std::size_t i = 0; i < holders.size(); ++i) {
    if (!asked[i]) continue;
    const auto left = std::max(end - Clock::now(), Clock::duration::zero());
    if (options.wait(holders[i].process.get(), left)) {
      outcomes[i] = StopOutcome::kEnded;
    } else if (!options.interrupted()) {
      const int error = send(holders[i].process, SIGKILL);
      const bool gone = error == ESRCH || (error == 0 && options.wait(holders[i].process.get(), kAfterKill));
      outcomes[i] = gone ? StopOutcome::kKilled : StopOutcome::kStillThere;
    }
  }
  return outcomes;
}

std::string service_of(std::string_view cgroups) {
  constexpr std::string_view kSuffix = ".service";
  std::string found;
  while (!cgroups.empty()) {
    std::string_view line = cgroups.substr(0, cgroups.find('\n'));
    cgroups.remove_prefix(std::min(line.size() + 1, cgroups.size()));
    // "0::/..." is cgroup2, "1:name=systemd:/..." systemd's own hierarchy: cgroups(7).
    const std::size_t first = line.find(':');
    const std::size_t second = first == line.npos ? line.npos : line.find(':', first + 1);
    if (second == line.npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    if (!controllers.empty() && controllers != "name=systemd") continue;
    for (std::string_view path = line.substr(second + 1); !path.empty();) {
      const std::string_view part = path.substr(0, path.find('/'));
      path.remove_prefix(std::min(part.size() + 1, path.size()));
      if (part.size() > kSuffix.size() && part.ends_with(kSuffix)) found = part;  // the innermost
    }
  }
  return found;
}

}  // namespace sockleak::act
