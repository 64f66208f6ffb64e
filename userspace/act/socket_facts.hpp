// One socket as `destroy` has to know it before it touches it: what names it in the kernel, who would notice, and why
// it is still there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "event/event.hpp"
#include "process/socket_holders.hpp"

namespace sockleak::act {

/// Why a socket exists, as far as it is proven. What is not proven is kUnknown, and stays untouched.
enum class Cause : std::uint8_t {
  kUnknown,     // no descriptor that we can see refers to it
  kHeld,        // by a descriptor
  kUnaccepted,  // in its listener's accept queue
  kOrphan,      // closed; the kernel still has data or a FIN to deliver
  kListener,
  kTimeWait,
  kRequest,  // half-open: the handshake is not over
  kKernel,   // made by the kernel for itself
  kSubflow,  // one path of an MPTCP connection: made by the kernel too
};
[[nodiscard]] const char* to_string(Cause cause);  // "held"

struct SocketFacts {
  SocketId id;  // the cookie: unique per boot, unlike ports, inodes and addresses
  NetnsId netns;
  Addresses addresses;
  TcpState state = TcpState::kUnknown;  // of UDP sockets: ESTABLISHED = connected, CLOSE = bound
  std::uint32_t interface = 0;
  std::uint64_t inode = 0;  // 0 = no process has a file for it
  std::uint32_t uid = 0;
  std::uint32_t receive_queue = 0;  // of a listener: connections that wait to be accepted
  bool mptcp = false;
  std::optional<Duration> silent;  // since its last data; it is at least that old

  Cause cause = Cause::kUnknown;
  std::vector<FdHolder> holders;  // of kUnaccepted: the listener's
};

/// "tcp 10.0.0.1:41000 -> 10.0.0.9:5432".
[[nodiscard]] std::string to_string(const SocketFacts& socket);

/// Fills cause and holders of every socket from what the others and the descriptors say. `sockets`: all of the machine,
/// because the listener of an unaccepted connection is found among them.
void explain(std::vector<SocketFacts>& sockets, const SocketHolders& holders);

}  // namespace sockleak::act
