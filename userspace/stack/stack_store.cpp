#include "stack/stack_store.hpp"

namespace sockleak {

StackStore::StackStore() { stacks_.emplace_back(); }

StackId StackStore::intern(MappedStack stack) {
  if (stack.frames.empty() && stack.end == WalkEnd::kNone) return kNoStack;
  MappedStack key = stack;
  if (key.frames.size() > 1 && key.frames[0].module != key.frames[1].module) key.frames[0].address = 0;
  if (stacks_.size() >= kMostStacks && !ids_.contains(key)) {
    ++refused_;
    return kNoStack;
  }
  auto [it, is_new] = ids_.try_emplace(std::move(key), StackId{static_cast<std::uint32_t>(stacks_.size())});
  if (is_new) stacks_.push_back(std::move(stack));
  return it->second;
}

StackId StackStore::find(StackHash hash) const {
  const StackId* stack = bound_.find(hash);
  return stack == nullptr ? kNoStack : *stack;
}

std::vector<StackHash> StackStore::names_of(StackId stack) const {
  std::vector<StackHash> names;
  constexpr std::uint64_t kNotOfATicket = 15;
  bound_.for_each([&](StackHash hash, StackId id) {
    if (id == stack && (hash.value & kNotOfATicket) != 0) names.push_back(hash);
  });
  return names;
}

}  // namespace sockleak
