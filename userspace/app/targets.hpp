// The processes that -p names: checked before anything is attached, and watched for their end.
#pragma once

#include <vector>

#include "base/handle.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "process/procfs.hpp"

namespace sockleak {

class Targets {
 public:
  /// Threads stand for their process, with a warning. Usage error if there is no such process, or it has ended and only
  /// waits for its parent.
  static Result<Targets> find(const std::vector<Pid>& pids, const Procfs& procfs);

  [[nodiscard]] const std::vector<Pid>& pids() const { return pids_; }
  /// All of them have ended.
  [[nodiscard]] bool ended() const;

 private:
  std::vector<Pid> pids_;
  std::vector<UniqueFd> pidfds_;
};

}  // namespace sockleak
