#include "stack/stack_store.hpp"

#include <gtest/gtest.h>

namespace sockleak {
namespace {

constexpr ModuleId kLibc{1}, kProgram{2};

MappedStack stack(MappedFrame innermost, std::uint64_t call) {
  return {{innermost, {kProgram, call}, {kProgram, 0x9000}}, WalkEnd::kComplete};
}

TEST(StackStore, EqualStacksHaveOneId) {
  StackStore store;
  const StackId first = store.intern(stack({kLibc, 0x100}, 0x2000));
  EXPECT_EQ(store.intern(stack({kLibc, 0x100}, 0x2000)), first);
  EXPECT_NE(store.intern(stack({kLibc, 0x100}, 0x2004)), first);
  EXPECT_EQ(store.size(), 3u);
}

TEST(StackStore, TheTwoWaysThroughALibrarysSystemCallAreOneStack) {
  StackStore store;
  const StackId single_threaded = store.intern(stack({kLibc, 0x100}, 0x2000));
  EXPECT_EQ(store.intern(stack({kLibc, 0x180}, 0x2000)), single_threaded);
  EXPECT_EQ(store.get(single_threaded).frames[0].address, 0x100u) << "the stack seen first is kept as it was";
}

TEST(StackStore, SystemCallsInTheProgramItselfStayApart) {
  StackStore store;
  EXPECT_NE(store.intern(stack({kProgram, 0x100}, 0x2000)), store.intern(stack({kProgram, 0x180}, 0x2000)));
}

TEST(StackStore, HowAWalkEndedIsPartOfTheStack) {
  StackStore store;
  MappedStack cut = stack({kLibc, 0x100}, 0x2000);
  cut.end = WalkEnd::kReadFailed;
  EXPECT_NE(store.intern(cut), store.intern(stack({kLibc, 0x100}, 0x2000)));
}

TEST(StackStore, AHashNamesTheStackItWasBoundToLast) {
  StackStore store;
  EXPECT_EQ(store.find(StackHash{7}), kNoStack);
  const StackId first = store.intern(stack({kLibc, 0x100}, 0x2000));
  const StackId second = store.intern(stack({kLibc, 0x100}, 0x3000));
  store.bind(StackHash{7}, first);
  store.bind(StackHash{7}, second);
  EXPECT_EQ(store.find(StackHash{7}), second);
  EXPECT_TRUE(store.knows(StackHash{7}));
  EXPECT_FALSE(store.knows(StackHash{8}));
}

TEST(StackStore, NothingIsNoStack) {
  StackStore store;
  EXPECT_EQ(store.intern({}), kNoStack);
}

}  // namespace
}  // namespace sockleak
