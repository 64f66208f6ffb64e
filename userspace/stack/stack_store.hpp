// Interns stacks: equal MappedStacks get one StackId, and the kernel's hashes and tickets are bound to it.
#pragma once

#include <map>
#include <vector>

#include "base/recent_map.hpp"
#include "stack/stack.hpp"

namespace sockleak {

class StackStore {
 public:
  StackStore();

  /// Different stacks; and names of stacks, of which those that no event has named for long are forgotten: each walk that
  /// lacks a rule has a name of its own.
  static constexpr std::size_t kMostStacks = 1u << 16, kMostNames = 1u << 18;

  /// The id of an equal stack if there is one, else a new one. Where in another module's function the system call
  /// lies does not count: libc's accept() and close() each have two, one while there is a single thread and one after
  /// (SINGLE_THREAD_P in glibc's sysdep-cancel.h), and both are the same call of the program. kNoStack
  /// where there are too many.
  StackId intern(MappedStack stack);

  /// From now on `hash` names `stack`. A later bind of the same hash wins.
  void bind(StackHash hash, StackId stack) { bound_.put(hash, stack); }

  /// kNoStack if the hash is 0 or was never bound.
  [[nodiscard]] StackId find(StackHash hash) const;
  [[nodiscard]] bool knows(StackHash hash) const { return bound_.find(hash) != nullptr; }

  /// All hashes that name `stack`, without the tickets of single walks.
  [[nodiscard]] std::vector<StackHash> names_of(StackId stack) const;

  [[nodiscard]] const MappedStack& get(StackId id) const { return stacks_[id.value]; }
  [[nodiscard]] std::size_t size() const { return stacks_.size(); }
  /// Stacks that there was no room for.
  [[nodiscard]] std::uint64_t refused() const { return refused_; }

 private:
  std::vector<MappedStack> stacks_;  // [0] = no stack
  std::map<MappedStack, StackId> ids_;
  mutable RecentMap<StackHash, StackId> bound_{kMostNames};  // asking keeps an entry
  std::uint64_t refused_ = 0;
};

}  // namespace sockleak
