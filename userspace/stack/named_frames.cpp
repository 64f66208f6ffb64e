#include "stack/named_frames.hpp"

#include <utility>

namespace sockleak {

MappedFrame NamedFrames::intern(Frame frame) {
  const auto known = index_.find(Key(frame.kind, frame.function, frame.file, frame.line));
  if (known != index_.end()) return {kNamed, known->second};
  if (frames_.size() >= kMaxFrames) return {ModuleId{0}, 0};
  const std::uint64_t index = frames_.size();
  index_.emplace(Key(frame.kind, frame.function, frame.file, frame.line), index);
  frames_.push_back(std::move(frame));
  return {kNamed, index};
}

const Frame* NamedFrames::find(const MappedFrame& frame) const {
  return frame.module == kNamed && frame.address < frames_.size() ? &frames_[frame.address] : nullptr;
}

}  // namespace sockleak
