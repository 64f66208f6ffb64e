// What is remembered of sockets that are closed: one short line each in bounded memory, and the whole record of those
// whose end may turn out to have been nobody's doing.
#pragma once

#include <cstdint>
#include <vector>

#include "base/ids.hpp"
#include "base/time.hpp"
#include "event/event.hpp"
#include "track/socket_record.hpp"

namespace sockleak {

/// One closed socket of a site, in short.
struct GoneSocket {
  SocketId id;
  KernelTime born, closed;
  KernelTime last_use;        // zero = not known
  Duration longest_gap{};     // between two bursts of use, if uses were counted
  std::uint32_t bursts = 0;   // 0 = uses were not counted
  std::uint32_t peer = 0;     // hash of the remote endpoint; 0 = none was known
  Pid creator;                // the thread
  ProcessId process;          // that made it
  bool before_peer = false;   // the program closed first: its peer had not
  bool ended = false;         // only the end of its process closed it
};

/// At most kKept of them, spread evenly over the session: when the log is full, every second one is dropped and from then
/// on only every 2nd, 4th ... close is kept. `weight` says how many closes each entry stands for.
class GoneLog {
 public:
  static constexpr std::size_t kKept = 1024;
  void add(const GoneSocket& socket);
  /// In the order of their closes.
  [[nodiscard]] const std::vector<GoneSocket>& entries() const { return entries_; }
  [[nodiscard]] std::uint64_t weight() const { return weight_; }

 private:
  std::vector<GoneSocket> entries_;
  std::uint64_t weight_ = 1;
  std::uint64_t skipped_ = 0;
};

/// A socket that was closed, with what its close found.
struct EndedSocket {
  SocketRecord record;
  SocketFacts facts;
  KernelTime closed;
  CloseHow how = CloseHow::kCall;
  StackId closed_at = kNoStack;
  ProcessId closer;
};

/// `at_exit`: only the end of its process closed it.
[[nodiscard]] GoneSocket in_short(const EndedSocket& ended, bool at_exit);

/// Same endpoint, same number; never 0 of one that has a port.
[[nodiscard]] std::uint32_t peer_hash(const Endpoint& endpoint);

}  // namespace sockleak
