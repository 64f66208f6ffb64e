// One look at every socket for the commands that list, judge or destroy: through BPF where that is allowed, else
// through sock_diag and /proc. Filters are applied here, so that all of them mean the same sockets by the same words.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "filter/filter.hpp"
#include "scan/kernel_walk.hpp"
#include "scan/snapshot.hpp"

namespace sockleak {

class SocketLook {
 public:
  static SocketLook open();

  /// Why BPF is not used; empty = it is.
  [[nodiscard]] const std::optional<Error>& without_bpf() const { return without_bpf_; }

  /// Causes are found.
  [[nodiscard]] Result<Snapshot> take(const ScanProgress& progress);

  /// Looks again before it believes what a close in progress could also explain, if `matters` says that it is worth
  /// it. `wait` is false if the user asks to end.
  [[nodiscard]] Result<Snapshot> take_confirmed(const ScanProgress& progress, const std::function<bool(Duration)>& wait,
                                                const std::function<bool(const Snapshot&)>& matters);

 private:
  std::optional<KernelWalk> kernel_;
  std::optional<Error> without_bpf_;
};

/// The sockets that the filter means, by index.
[[nodiscard]] std::vector<std::size_t> selected_sockets(const Snapshot& snapshot, const Filter& filter);

/// Likewise those of families that are not judged.
[[nodiscard]] std::vector<std::size_t> selected_others(const Snapshot& snapshot, const Filter& filter);

}  // namespace sockleak
