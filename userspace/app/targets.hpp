// What the options name as the target: checked before anything is attached, and watched for its end.
#pragma once

#include <string>
#include <vector>

#include "app/options.hpp"
#include "base/handle.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "kernel/scope.hpp"
#include "process/procfs.hpp"
#include "report/report.hpp"

namespace sockleak {

class Targets {
 public:
  /// Of processes: threads stand for theirs, with a warning; usage error if there is no such process, or it has ended and
  /// only waits for its parent. Of a cgroup or container: usage error if none or more than one is meant.
  static Result<Targets> find(const Options& options, const Procfs& procfs);

  /// The named processes; of a scope, those that were in it at the start.
  [[nodiscard]] const std::vector<Pid>& pids() const { return facts_pids_; }
  /// Processes come and go in it.
  [[nodiscard]] bool is_scope() const { return facts_.kind != "pid"; }
  [[nodiscard]] const Scope& scope() const { return scope_; }
  [[nodiscard]] const TargetFacts& facts() const { return facts_; }
  /// All of the processes have ended; the group has been removed.
  [[nodiscard]] bool ended() const;

 private:
  static Result<Targets> find_processes(const std::vector<Pid>& pids, const Procfs& procfs);
  static Result<Targets> find_cgroup(const std::string& path);
  static Result<Targets> find_container(const std::string& prefix);
  static Targets everybody(const Procfs& procfs);
  void take_group(const std::filesystem::path& directory);

  std::vector<Pid> facts_pids_;
  std::vector<UniqueFd> pidfds_;
  std::filesystem::path group_;  // its directory
  UniqueFd group_fd_;
  Scope scope_;
  TargetFacts facts_;
};

}  // namespace sockleak
