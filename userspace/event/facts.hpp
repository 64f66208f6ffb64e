// What the kernel knows of one socket's use: read by a look at its tables, and at its last close. Nothing is traced for
// it but `uses`, so that it is also known of sockets from before the attach.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.hpp"

namespace sockleak {

/// Who will notice what the peer does: what sleeps in the socket's wait queue (include/linux/wait.h), the most telling
/// one if several do. At a last close there is none any more.
enum class Waiter : std::uint8_t {
  kUnknown = 0,
  kNobody,
  kEpoll,   // registered with an epoll instance; says little of connected sockets: runtimes leave forgotten ones there
  kPoll,    // a thread in poll() or select()
  kThread,  // a thread blocked in a call on this socket alone
  kRing,    // a request of io_uring
};
[[nodiscard]] const char* to_string(Waiter waiter);  // "nobody" | "epoll" | "poll" | "thread" | "io_uring"; "" = not known

/// Reads and writes that succeeded, counted in the kernel while touches are counted. Those less than
/// SL_BURST_GAP_NS (bpf/abi/facts_wire.h) apart are one burst.
struct Uses {
  KernelTime since;          // counted since then; the socket's birth or later. Zero = not counted
  std::uint32_t bursts = 0;
  KernelTime first, last;    // zero = none
  Duration longest_gap{};    // between two bursts
  friend bool operator==(const Uses&, const Uses&) = default;
};

struct SocketFacts {
  bool known = false;  // a look brought them; recordings before version 7 of the wire have none

  // TCP (struct tcp_sock; resolution: a jiffy). Zero = never, or not known.
  KernelTime last_sent;      // data
  KernelTime last_received;  // data
  KernelTime last_segment;   // any segment of the peer: of a CLOSE_WAIT socket mostly its FIN
  std::uint32_t unacknowledged = 0;  // bytes written that the peer has not confirmed
  bool window_closed = false;        // the peer has no room: it does not read
  bool attempted = false;            // a connection was once begun, whatever became of it (write_seq != 0)

  std::uint32_t unread = 0;          // bytes (UDP: memory charged to the receive queue; unix: of the first messages), without the peer's FIN
  std::optional<bool> end_read;      // the peer's FIN has come, or the connection failed: whether the program has been told
  Waiter waiter = Waiter::kUnknown;
  Uses uses;

  friend bool operator==(const SocketFacts&, const SocketFacts&) = default;
};

/// The newest moment that the socket is known to have carried data in either direction; zero = none is known.
[[nodiscard]] KernelTime last_use(const SocketFacts& facts);

}  // namespace sockleak
