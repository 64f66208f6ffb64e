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

TEST(StackStore, NamesOfAStackAreThoseThatCanComeAgain) {
  StackStore store;
  const StackId id = store.intern(stack({kLibc, 0x100}, 0x2000));
  store.bind(StackHash{0x11}, id);
  store.bind(StackHash{0x20}, id);  // the ticket of a single walk
  EXPECT_EQ(store.names_of(id), std::vector{StackHash{0x11}});
}

TEST(StackStore, TicketsWithoutEndDoNotPushOutWhatEventsName) {
  StackStore store;
  const StackId id = store.intern(stack({kLibc, 0x100}, 0x2000));
  store.bind(StackHash{1}, id);
  for (std::uint64_t ticket = 1; ticket <= 3 * StackStore::kMostNames; ++ticket) {
    store.bind(StackHash{ticket << 4}, id);
    if (ticket % 1000 == 0) {
      ASSERT_EQ(store.find(StackHash{1}), id);
    }
  }
  EXPECT_FALSE(store.knows(StackHash{1 << 4})) << "memory is bounded";
  EXPECT_TRUE(store.knows(StackHash{1}));
}

TEST(StackStore, StacksWithoutEndAreRefusedAndCounted) {
  StackStore store;
  const StackId first = store.intern(stack({kLibc, 0x100}, 1));
  for (std::uint64_t call = 2; call < StackStore::kMostStacks + 10; ++call) (void)store.intern(stack({kLibc, 0x100}, call));
  EXPECT_EQ(store.size(), StackStore::kMostStacks);
  EXPECT_EQ(store.refused(), 10U);
  EXPECT_EQ(store.intern(stack({kLibc, 0x100}, 1)), first) << "what is known goes on";
  EXPECT_EQ(store.intern(stack({kLibc, 0x100}, ~std::uint64_t{0})), kNoStack);
}

TEST(StackStore, NothingIsNoStack) {
  StackStore store;
  EXPECT_EQ(store.intern({}), kNoStack);
}

}  // namespace
}  // namespace sockleak
