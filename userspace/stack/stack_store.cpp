#include "stack/stack_store.hpp"

namespace sockleak {

StackStore::StackStore() { stacks_.emplace_back(); }

StackId StackStore::intern(MappedStack stack) {
  if (stack.frames.empty() && stack.end == WalkEnd::kNone) return kNoStack;
  auto [it, is_new] = ids_.try_emplace(stack, StackId{static_cast<std::uint32_t>(stacks_.size())});
  if (is_new) stacks_.push_back(std::move(stack));
  return it->second;
}

StackId StackStore::find(StackHash hash) const {
  auto it = bound_.find(hash);
  return it == bound_.end() ? kNoStack : it->second;
}

}  // namespace sockleak
