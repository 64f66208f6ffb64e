// How often sockets are read or written, and where they were last: says which ones are of interest, and asks the kernel side for what it noted.
#pragma once

#include <functional>
#include <span>

#include "base/ids.hpp"
#include "kernel/programs.hpp"
#include "stack/unwind_rule.hpp"

namespace sockleak {

class TouchFeed {
 public:
  /// `programs` are loaded and outlive the feed.
  explicit TouchFeed(Programs& programs) : programs_(programs) {}

  /// From now on every new socket is of interest.
  void watch_all();
  /// These sockets are, and all that these stacks will make.
  void suspect(std::span<const StackHash> makers, std::span<const SocketId> sockets);
  /// From now on reads and writes of all sockets are counted, where the kernel tells of them; snapshots and closes bring the
  /// numbers. Once is enough.
  void count_uses();
  /// What is known of open sockets. The record is valid during the call; its stack may have to be taken out.
  void read(const std::function<void(sl_socket_touched&)>& record) const;

 private:
  Programs& programs_;
};

}  // namespace sockleak
