// The sockets of all network namespaces, and the power to destroy them. Behind an interface, so that a plan can be
// carried out on a table made by hand, and so that a better collector can take the place of sock_diag.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "act/diag_socket.hpp"
#include "act/socket_facts.hpp"
#include "process/network_namespaces.hpp"

namespace sockleak::act {

struct SocketList {
  std::vector<SocketFacts> sockets;
  std::vector<std::string> unseen;  // what could not be looked at, one sentence each
  bool all_holders_seen = true;
};

class KernelSockets {
 public:
  virtual ~KernelSockets() = default;
  /// Every TCP and UDP socket now, explained.
  [[nodiscard]] virtual Result<SocketList> list() = 0;
  /// Only which sockets there are now, and their states.
  [[nodiscard]] virtual Result<SocketList> list_states() = 0;
  /// The kernel's answer for each, in order: 0, or an errno (ENOENT: no socket with this cookie at this address).
  [[nodiscard]] virtual Result<std::vector<int>> destroy(std::span<const SocketFacts* const> sockets) = 0;
};

/// Through sock_diag, one netlink socket per network namespace, and /proc for who holds what; what sock_diag cannot
/// destroy, through bpf_sock_destroy where the kernel has it.
class DiagSockets final : public KernelSockets {
 public:
  static Result<DiagSockets> open(std::filesystem::path proc = "/proc");
  [[nodiscard]] Result<SocketList> list() override;
  [[nodiscard]] Result<SocketList> list_states() override { return dump(false); }
  [[nodiscard]] Result<std::vector<int>> destroy(std::span<const SocketFacts* const> sockets) override;

 private:
  struct Place {
    NetnsId netns;
    DiagSocket socket;
  };
  explicit DiagSockets(std::filesystem::path proc) : proc_(std::move(proc)) {}
  [[nodiscard]] Result<SocketList> dump(bool with_details);
  void try_harder(std::span<const SocketFacts* const> sockets, std::vector<int>& answers);
  std::filesystem::path proc_;
  std::vector<Place> places_;
  std::vector<std::string> unseen_;
};

}  // namespace sockleak::act
