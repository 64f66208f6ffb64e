// The collector for the privileged: one pass over the kernel's own tables through BPF iterators (bpf/scan/scan.bpf.c).
#pragma once

#include <memory>

#include "base/result.hpp"
#include "scan/snapshot.hpp"

namespace sockleak {

class KernelWalk {
 public:
  /// Loads the programs; they serve any number of snapshots. Error kCannotTrace without the privileges.
  static Result<KernelWalk> open();
  KernelWalk(KernelWalk&&) noexcept;
  KernelWalk& operator=(KernelWalk&&) noexcept;
  ~KernelWalk();

  /// Causes are found. Looks once more, at mappings, if something stays unexplained without them.
  [[nodiscard]] Result<Snapshot> take(const ScanProgress& progress);

 private:
  class Programs;
  explicit KernelWalk(std::unique_ptr<Programs> programs);
  std::unique_ptr<Programs> programs_;
};

}  // namespace sockleak
