// The BPF programs: the build that this kernel loads, the hooks that it allows, and their maps.
#pragma once

#include <bpf/libbpf.h>

#include <string>
#include <vector>

#include "base/handle.hpp"
#include "base/result.hpp"
#include "kernel/hooks.hpp"
#include "kernel/kernel_tables.hpp"
#include "kernel/scope.hpp"

extern "C" {
#include "abi/config.h"  // the skeleton embeds it
}
#include "sockleak_bpf.skel.h"

namespace sockleak {

class Programs {
 public:
  struct Settings {
    bool follow_children = true;
    bool copy_stacks = true;
    HookSet hooks = HookSet::kAuto;
    Scope scope;
    std::uint32_t types = 0;  // SL_TYPE_*; 0 = all
  };

  Result<void> load(const Settings& settings);
  Result<void> attach();
  /// The hooks on demand; none is required.
  void attach_touches();

  [[nodiscard]] sockleak_bpf& operator*() const { return *skeleton_; }
  [[nodiscard]] sockleak_bpf* operator->() const { return skeleton_.get(); }
  [[nodiscard]] const std::vector<HookFact>& attached() const { return attached_; }
  /// How often the kernel has left out a run because the same program was preempted on that processor, in the middle of
  /// another run: of targets or of anybody else (bpf_prog_info.recursion_misses, Linux commit 9ed9e9ba2337; 0 before 5.12).
  [[nodiscard]] std::uint64_t skipped_runs() const;
  [[nodiscard]] const KernelTables& tables() const { return tables_; }
  /// Programs here cannot give cookies to sockets that have none: name_sockets() before they are adopted.
  [[nodiscard]] bool need_named_sockets() const { return build_ == Build::kBasic; }

 private:
  using Skeleton = CPtr<sockleak_bpf, &sockleak_bpf::destroy>;
  using Link = CPtr<bpf_link, &bpf_link__destroy>;

  // Destroyed in reverse: links before the skeleton.
  Build build_ = Build::kFull;
  UniqueFd cgroup_;
  std::vector<Hook> hooks_;
  Skeleton skeleton_;
  std::vector<Link> links_;
  std::vector<HookFact> attached_;
  bool touches_attached_ = false;
  KernelTables tables_;
};

}  // namespace sockleak
