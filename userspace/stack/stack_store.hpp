// Interns stacks: equal MappedStacks get one StackId, and the kernel's hashes and tickets are bound to it.
#pragma once

#include <map>
#include <unordered_map>
#include <vector>

#include "stack/stack.hpp"

namespace sockleak {

class StackStore {
 public:
  StackStore();

  /// The id of an equal stack if there is one, else a new one. Where in another module's function the system call
  /// lies does not count: libc's accept() and close() each have two, one while there is a single thread and one after
  /// (SINGLE_THREAD_P in glibc's sysdep-cancel.h), and both are the same call of the program.
  StackId intern(MappedStack stack);

  /// From now on `hash` names `stack`. A later bind of the same hash wins.
  void bind(StackHash hash, StackId stack) { bound_[hash] = stack; }

  /// kNoStack if the hash is 0 or was never bound.
  [[nodiscard]] StackId find(StackHash hash) const;
  [[nodiscard]] bool knows(StackHash hash) const { return bound_.contains(hash); }

  /// All hashes and tickets that name `stack`.
  [[nodiscard]] std::vector<StackHash> names_of(StackId stack) const;

  [[nodiscard]] const MappedStack& get(StackId id) const { return stacks_[id.value]; }
  [[nodiscard]] std::size_t size() const { return stacks_.size(); }

 private:
  std::vector<MappedStack> stacks_;  // [0] = no stack
  std::map<MappedStack, StackId> ids_;
  std::unordered_map<StackHash, StackId> bound_;
};

}  // namespace sockleak
