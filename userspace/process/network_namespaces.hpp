// The network namespaces of this machine, as far as /proc shows them: those of processes and those mounted by name.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/handle.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"

namespace sockleak {

struct NetnsHandle {
  NetnsId id;
  UniqueFd fd;
  std::string name;  // it was mounted by, or that of a process in it: "orders (812)"; empty = our own
};

struct NetnsHandles {
  std::vector<NetnsHandle> list;  // our own first
  std::size_t hidden = 0;         // processes whose namespace we may not open
};

[[nodiscard]] NetnsHandles find_network_namespaces(const std::filesystem::path& proc);

/// This thread inside a network namespace until the end of the scope.
class InNetworkNamespace {
 public:
  /// `home` is where to go back to.
  static Result<InNetworkNamespace> enter(const NetnsHandle& there, const NetnsHandle& home);
  InNetworkNamespace(InNetworkNamespace&& other) noexcept : home_(std::exchange(other.home_, -1)) {}
  InNetworkNamespace& operator=(InNetworkNamespace&&) = delete;
  ~InNetworkNamespace();

 private:
  explicit InNetworkNamespace(int home) : home_(home) {}
  int home_;  // -1 = nothing to go back to
};

}  // namespace sockleak
