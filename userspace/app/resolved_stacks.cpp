#include "app/resolved_stacks.hpp"

namespace sockleak {

ResolvedStacks::ResolvedStacks(const Recording& recording) : recording_(recording) {
  for (const auto& [mapped, stack] : recording.resolved) resolved_.try_emplace(mapped, &stack);
}

Stack ResolvedStacks::symbolize(const MappedStack& stack) {
  if (const auto found = resolved_.find(stack); found != resolved_.end()) return *found->second;
  Stack result;
  for (const MappedFrame& mapped : stack.frames) {
    Frame frame;
    frame.offset = mapped.address;
    if (mapped.module != ModuleStore::kUnknown && mapped.module.value < recording_.modules.size()) {
      frame.module = recording_.modules[mapped.module.value].name;
      frame.build_id = recording_.modules[mapped.module.value].build_id;
    } else {
      frame.gap = NameGap::kNoFile;
    }
    result.frames.push_back(std::move(frame));
  }
  result.truncated = stack.end != WalkEnd::kComplete;
  if (result.truncated) result.why = why_short(stack.end);
  return result;
}

}  // namespace sockleak
