// The sockets of all network namespaces, and the power to destroy them. Behind an interface, so that a plan can be
// carried out on a table made by hand.
#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include "act/diag_socket.hpp"
#include "act/socket_facts.hpp"
#include "process/network_namespaces.hpp"

namespace sockleak::act {

class KernelSockets {
 public:
  virtual ~KernelSockets() = default;
  /// Which TCP and UDP sockets there are now, and their states; neither causes nor holders.
  [[nodiscard]] virtual Result<std::vector<SocketFacts>> list() = 0;
  /// The kernel's answer for each, in order: 0, or an errno (ENOENT: no socket with this cookie at this address).
  [[nodiscard]] virtual Result<std::vector<int>> destroy(std::span<const SocketFacts* const> sockets) = 0;
};

/// Through sock_diag, one netlink socket per network namespace; what that cannot destroy, through bpf_sock_destroy
/// where the kernel has it.
class DiagSockets final : public KernelSockets {
 public:
  static Result<DiagSockets> open(std::filesystem::path proc = "/proc");
  [[nodiscard]] Result<std::vector<SocketFacts>> list() override;
  [[nodiscard]] Result<std::vector<int>> destroy(std::span<const SocketFacts* const> sockets) override;

 private:
  struct Place {
    NetnsId netns;
    DiagSocket socket;
  };
  explicit DiagSockets(std::filesystem::path proc) : proc_(std::move(proc)) {}
  void try_harder(std::span<const SocketFacts* const> sockets, std::vector<int>& answers);
  std::filesystem::path proc_;
  std::vector<Place> places_;
};

}  // namespace sockleak::act
