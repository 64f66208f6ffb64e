// Who was forked by whom, what executed a program, what has ended. Bounded: the longest ended are forgotten first.
#pragma once

#include <deque>
#include <optional>
#include <unordered_map>

#include "base/ids.hpp"
#include "base/time.hpp"

namespace sockleak {

class ProcessTree {
 public:
  void forked(const ProcessId& parent, const ProcessId& child, KernelTime when, bool shares_files);
  void execed(const ProcessId& process, KernelTime when);
  /// `wait_status`: as wait(2) reports it, if it is known.
  void ended(const ProcessId& process, KernelTime when, std::optional<int> wait_status = std::nullopt);

  /// When it ended; nullopt = not that we know.
  [[nodiscard]] std::optional<KernelTime> end_of(const ProcessId& process) const;
  /// How it ended, as wait(2) reports it; nullopt = it has not, or nobody told.
  [[nodiscard]] std::optional<int> status_of(const ProcessId& process) const;
  /// The newest execve() of a process; nullopt = none was seen.
  [[nodiscard]] std::optional<KernelTime> last_exec(const ProcessId& process) const;

  struct Descent {
    KernelTime left;            // the fork by which the line left the ancestor
    bool execed = false;        // somebody on the line, the descendant included, has executed a program since
    bool shares_files = false;  // every fork on the line shared the descriptor table
  };
  /// nullopt = not descended, as far as forks were seen.
  [[nodiscard]] std::optional<Descent> descent(const ProcessId& ancestor, const ProcessId& descendant) const;

 private:
  struct Node {
    ProcessId parent;  // pid 0 = unknown
    KernelTime forked;
    bool shares_files = false;
    std::optional<KernelTime> first_exec, last_exec;
    std::optional<KernelTime> end;
    std::optional<int> wait_status;
  };

  std::unordered_map<ProcessId, Node> nodes_;
  std::deque<ProcessId> ended_order_;  // oldest first
};

}  // namespace sockleak
