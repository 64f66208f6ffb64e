#include "event/facts.hpp"

#include <algorithm>

namespace sockleak {

const char* to_string(Waiter waiter) {
  switch (waiter) {
    case Waiter::kUnknown:
      return "";
    case Waiter::kNobody:
      return "nobody";
    case Waiter::kEpoll:
      return "epoll";
    case Waiter::kPoll:
      return "poll";
    case Waiter::kThread:
      return "thread";
    case Waiter::kRing:
      return "io_uring";
  }
  return "";
}

KernelTime last_use(const SocketFacts& facts) {
  return std::max({facts.last_sent, facts.last_received, facts.uses.last});
}

}  // namespace sockleak
