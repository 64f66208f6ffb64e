#include "stack/named_frames.hpp"

#include <gtest/gtest.h>

namespace sockleak {
namespace {

Frame python(const char* function, std::uint32_t line) {
  Frame frame;
  frame.kind = FrameKind::kPython;
  frame.function = function;
  frame.file = "app.py";
  frame.line = line;
  return frame;
}

TEST(NamedFrames, EqualFramesAreOne) {
  NamedFrames names;
  const MappedFrame first = names.intern(python("fetch", 7));
  EXPECT_EQ(names.intern(python("fetch", 7)), first);
  EXPECT_NE(names.intern(python("fetch", 8)), first);
  EXPECT_NE(names.intern(python("store", 7)), first);
  ASSERT_NE(names.find(first), nullptr);
  EXPECT_EQ(*names.find(first), python("fetch", 7));
}

TEST(NamedFrames, KnowNothingElse) {
  NamedFrames names;
  const MappedFrame first = names.intern(python("fetch", 7));
  EXPECT_EQ(names.find({ModuleId{1}, first.address}), nullptr);
  EXPECT_EQ(names.find({NamedFrames::kNamed, first.address + 1}), nullptr);
}

}  // namespace
}  // namespace sockleak
