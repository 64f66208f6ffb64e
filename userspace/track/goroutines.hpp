// In which goroutine each socket of a Go program was made, and where that goroutine came from.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/ids.hpp"

namespace sockleak {

struct Goroutine {
  struct Ancestor {
    std::uint64_t goroutine = 0;
    StackId stack = kNoStack;
  };
  std::uint64_t id = 0;
  StackId created_at = kNoStack;    // the `go` statement alone
  StackId waits_at = kNoStack;      // where the socket was waited for when only the end of its process closed it
  bool exact = false;               // the ancestors' stacks are as they were at their `go` statements
  std::vector<Ancestor> ancestors;  // the parent first
};

class Goroutines {
 public:
  /// Beyond these a finding says of fewer of its sockets in which goroutines they were made.
  static constexpr std::size_t kKept = 100'000;

  /// What is to be filled; nullptr: the table is full.
  [[nodiscard]] Goroutine* note(SocketId socket) {
    if (by_socket_.size() >= kKept && !by_socket_.contains(socket)) return nullptr;
    return &by_socket_[socket];
  }
  void forget(SocketId socket) { by_socket_.erase(socket); }
  [[nodiscard]] const Goroutine* find(SocketId socket) const {
    const auto found = by_socket_.find(socket);
    return found == by_socket_.end() ? nullptr : &found->second;
  }

 private:
  std::unordered_map<SocketId, Goroutine> by_socket_;
};

}  // namespace sockleak
