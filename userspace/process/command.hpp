// The program that `-- CMD` starts: created first, held at a gate until the hooks are attached, then executed.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/handle.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"

namespace sockleak {

struct CommandOptions {
  std::vector<std::string> argv;
  std::string user;  // run as this user; empty = SUDO_UID's user if we run under sudo as root, else unchanged
  std::vector<std::string> environment = {};  // NAME=VALUE, in place of what we have of that name
};

class Command {
 public:
  /// Forks; the child waits. Usage error if the user is unknown. The child dies with us until released
  /// (PR_SET_PDEATHSIG). Our own descriptors are all close-on-exec; what our caller left open for the command (make's job
  /// server, `3<file`) reaches it as if we were not there.
  static Result<Command> hold(const CommandOptions& options);
  Command(Command&&) noexcept;
  Command& operator=(Command&&) noexcept;
  ~Command();  // a child that was never released is killed and reaped

  [[nodiscard]] Pid pid() const { return pid_; }

  /// Opens the gate. Error with the errno of execvp (kUsage) if the program cannot be executed; then the child has
  /// been reaped. `exec_errno` lets the caller choose 127 (ENOENT) or 126.
  Result<void> release();

  /// The wait status once it has ended, without blocking.
  std::optional<int> ended();
  /// Readable (poll) when the child has ended.
  [[nodiscard]] int pidfd() const { return pidfd_.get(); }
  void signal(int number) const;

 private:
  Command(Pid pid, UniqueFd pidfd, UniqueFd gate, UniqueFd errors);
  Pid pid_;
  UniqueFd pidfd_, gate_, errors_;
  UniqueFd gate_reader_;  // while we hold one too, writing to the gate of a dead child raises no SIGPIPE
  std::string name_;      // argv[0], for the message of a failed exec
  std::optional<int> status_;
  bool released_ = false;
};

/// What a shell would show: the exit code, or 128 + signal number.
[[nodiscard]] int shell_status(int wait_status);

}  // namespace sockleak
