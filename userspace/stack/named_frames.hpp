// Frames that are known by name instead of by an address in a file: an interpreter's, and those of code made at run time.
// They stand in a MappedStack as (kNamed, index), so that stacks of equal frames are equal.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "stack/stack.hpp"

namespace sockleak {

class NamedFrames {
 public:
  /// The module of every frame that is in here. No ModuleStore has so many.
  static constexpr ModuleId kNamed{0xffffffff};
  /// Programs that make code without end get unnamed frames from here on.
  static constexpr std::size_t kMaxFrames = 1u << 20;

  /// The frame of this kind, function, file and line (the other fields are not looked at); the same one every time.
  MappedFrame intern(Frame frame);
  /// Nullptr if there is no such frame, as may be in a recording that was cut.
  [[nodiscard]] const Frame* find(const MappedFrame& frame) const;

 private:
  using Key = std::tuple<FrameKind, std::string, std::string, std::uint32_t>;
  std::map<Key, std::uint64_t> index_;
  std::vector<Frame> frames_;
};

}  // namespace sockleak
