#include "stack/stack_store.hpp"

namespace sockleak {

StackStore::StackStore() { stacks_.emplace_back(); }

StackId StackStore::intern(MappedStack stack) {
  if (stack.frames.empty() && stack.end == WalkEnd::kNone) return kNoStack;
  MappedStack key = stack;
  if (key.frames.size() > 1 && key.frames[0].module != key.frames[1].module) key.frames[0].address = 0;
  auto [it, is_new] = ids_.try_emplace(std::move(key), StackId{static_cast<std::uint32_t>(stacks_.size())});
  if (is_new) stacks_.push_back(std::move(stack));
  return it->second;
}

StackId StackStore::find(StackHash hash) const {
  auto it = bound_.find(hash);
  return it == bound_.end() ? kNoStack : it->second;
}

std::vector<StackHash> StackStore::names_of(StackId stack) const {
  std::vector<StackHash> names;
  for (const auto& [hash, id] : bound_) {
    if (id == stack) names.push_back(hash);
  }
  return names;
}

}  // namespace sockleak
