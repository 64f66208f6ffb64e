// An address leads to its piece of code, its methods and their lines; whatever else is in memory leads nowhere.
#include <gtest/gtest.h>

#include <random>

#include "fake_hotspot.hpp"
#include "runtime/java/code_cache.hpp"
#include "runtime/java/compressed_stream.hpp"
#include "runtime/java/method.hpp"
#include "runtime/java/scopes.hpp"

namespace sockleak {
namespace {

TEST(JavaCode, AnAddressIsFoundThroughTheSegmentMap) {
  const FakeHotspot fake;
  const auto interpreter = code_at(fake.memory, fake.hotspot, FakeHotspot::kInterpreter + 0x300);
  ASSERT_TRUE(interpreter);
  EXPECT_EQ(interpreter->kind, CodeBlob::Kind::kInterpreter);
  const auto compiled = code_at(fake.memory, fake.hotspot, FakeHotspot::kReturn);
  ASSERT_TRUE(compiled);
  EXPECT_EQ(compiled->kind, CodeBlob::Kind::kMethod);
  EXPECT_EQ(compiled->frame_bytes, 48U);
  EXPECT_EQ(compiled->start, FakeHotspot::kCompiled + 16);
}

TEST(JavaCode, WhatIsFreeOrOutsideIsNoCode) {
  FakeHotspot fake;
  EXPECT_FALSE(code_at(fake.memory, fake.hotspot, FakeHotspot::kFree));
  EXPECT_FALSE(code_at(fake.memory, fake.hotspot, FakeHotspot::kHigh));
  EXPECT_FALSE(code_at(fake.memory, fake.hotspot, FakeHotspot::kLow - 1));
  EXPECT_FALSE(code_at(fake.memory, fake.hotspot, FakeHotspot::kCompiled + 0x20)) << "the header is no code";
  fake.memory.put<std::uint8_t>(FakeHotspot::kCompiled + 8, 0);
  EXPECT_FALSE(code_at(fake.memory, fake.hotspot, FakeHotspot::kReturn)) << "the block was freed";
}

TEST(JavaCode, ASegmentMapThatLeadsBeyondItsBeginIsRefused) {
  FakeHotspot fake;
  fake.memory.put<std::uint8_t>(FakeHotspot::kSegments, 5);
  EXPECT_FALSE(code_at(fake.memory, fake.hotspot, FakeHotspot::kInterpreter + 0x300));
}

TEST(JavaScopes, InlinedMethodsComeBeforeTheOneTheyAreIn) {
  const FakeHotspot fake;
  const auto blob = code_at(fake.memory, fake.hotspot, FakeHotspot::kReturn);
  const auto scopes = scopes_at(fake.memory, fake.hotspot, *blob, FakeHotspot::kReturn);
  ASSERT_EQ(scopes.size(), 2U);
  EXPECT_EQ(scopes[0].method, FakeHotspot::kDial);
  EXPECT_EQ(scopes[0].bytecode, static_cast<std::int32_t>(FakeHotspot::kDialIndex));
  EXPECT_EQ(scopes[1].method, FakeHotspot::kPlace);
  EXPECT_EQ(scopes[1].bytecode, static_cast<std::int32_t>(FakeHotspot::kPlaceIndex));
}

TEST(JavaScopes, AnAddressThatIsNoReturnAddressHasNone) {
  const FakeHotspot fake;
  const auto blob = code_at(fake.memory, fake.hotspot, FakeHotspot::kReturn);
  EXPECT_TRUE(scopes_at(fake.memory, fake.hotspot, *blob, FakeHotspot::kReturn + 1).empty());
}

TEST(JavaScopes, ADescriptionThatDoesNotFitTheMethodIsNotBelieved) {
  FakeHotspot fake;
  const auto blob = code_at(fake.memory, fake.hotspot, FakeHotspot::kReturn);
  fake.memory.put(blob->start + 112, FakeHotspot::kDial);  // says that it was compiled from another method
  EXPECT_TRUE(scopes_at(fake.memory, fake.hotspot, *blob, FakeHotspot::kReturn).empty());
}

TEST(JavaScopes, ADeoptimizedFrameReturnsToTheHandler) {
  const FakeHotspot fake;
  const auto blob = code_at(fake.memory, fake.hotspot, FakeHotspot::kReturn);
  EXPECT_TRUE(is_deoptimized(fake.memory, fake.hotspot, *blob, FakeHotspot::kCompiled + 0x300));
  EXPECT_FALSE(is_deoptimized(fake.memory, fake.hotspot, *blob, FakeHotspot::kReturn));
}

TEST(JavaMethods, NameFileAndLines) {
  const FakeHotspot fake;
  const auto place = read_method(fake.memory, fake.hotspot, FakeHotspot::kPlace);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->name, "acme.Orders.place");
  EXPECT_EQ(place->file, "Orders.java");
  EXPECT_EQ(line_of(fake.memory, fake.hotspot, *place, 0), 10U);
  EXPECT_EQ(line_of(fake.memory, fake.hotspot, *place, 295), 10U);
  EXPECT_EQ(line_of(fake.memory, fake.hotspot, *place, 300), 15U);
  EXPECT_EQ(line_of(fake.memory, fake.hotspot, *place, 399), 12U) << "lines may go up again";
  EXPECT_EQ(line_of(fake.memory, fake.hotspot, *place, 400), 0U) << "beyond the bytecode";
  EXPECT_EQ(line_of(fake.memory, fake.hotspot, *read_method(fake.memory, fake.hotspot, FakeHotspot::kDial), 12), 6U);
}

TEST(JavaMethods, AHiddenClassHasTheSameNameInEveryRun) {
  const FakeHotspot fake;
  const auto native = read_method(fake.memory, fake.hotspot, FakeHotspot::kNative);
  ASSERT_TRUE(native);
  EXPECT_EQ(native->name, "acme.Orders$$Lambda.get");
  EXPECT_EQ(native->bytecodes, 0U);
  EXPECT_EQ(line_of(fake.memory, fake.hotspot, *native, 0), 0U);
}

TEST(JavaMethods, WhatIsNoMethodHasNoName) {
  FakeHotspot fake;
  EXPECT_FALSE(read_method(fake.memory, fake.hotspot, 0));
  EXPECT_FALSE(read_method(fake.memory, fake.hotspot, ~std::uint64_t{7}));
  EXPECT_FALSE(read_method(fake.memory, fake.hotspot, FakeHotspot::kHeap));
  fake.memory.put<std::uint16_t>(FakeHotspot::kDial + 0x100 + 34, 3);  // name index beyond the pool
  EXPECT_FALSE(read_method(fake.memory, fake.hotspot, FakeHotspot::kDial));
}

TEST(JavaNumbers, AreReadAsHotspotWritesThem) {
  // JDK 17: 192 is 0xc0 0x00; since JDK 20 every byte is one more.
  constexpr auto kOld = std::to_array<std::byte>({std::byte{0xc0}, std::byte{0}, std::byte{5}});
  CompressedStream old(kOld, 0);
  EXPECT_EQ(old.number(), 192U);
  EXPECT_EQ(old.signed_number(), -3);
  EXPECT_FALSE(old.ended());
  (void)old.number();
  EXPECT_TRUE(old.ended());
  constexpr auto kNew = std::to_array<std::byte>({std::byte{0xc0}, std::byte{1}, std::byte{6}, std::byte{0}});
  CompressedStream recent(kNew, 1);
  EXPECT_EQ(recent.number(), 191U);
  EXPECT_EQ(recent.number(), 5U);
  (void)recent.number();
  EXPECT_TRUE(recent.ended()) << "no number has a zero byte";
}

/// Whatever a byte of memory becomes, nothing crashes or reads without end.
TEST(JavaCode, DamagedMemoryIsNoDanger) {
  std::mt19937 random(4);
  const FakeHotspot sound;
  for (int round = 0; round < 3000; ++round) {
    FakeHotspot fake = sound;
    for (int i = 0; i < 3; ++i) fake.memory.flip(random() % fake.memory.size(), 1 + random() % 255);
    const std::uint64_t before = fake.memory.reads;
    for (const std::uint64_t pc : {FakeHotspot::kReturn, FakeHotspot::kInterpreter + 0x300}) {
      const auto blob = code_at(fake.memory, fake.hotspot, pc);
      if (!blob) continue;
      EXPECT_LE(blob->code_begin, pc);
      EXPECT_GE(blob->code_end, pc);
      for (const JavaScope& scope : scopes_at(fake.memory, fake.hotspot, *blob, pc)) {
        const auto method = read_method(fake.memory, fake.hotspot, scope.method);
        if (method) (void)line_of(fake.memory, fake.hotspot, *method, static_cast<std::uint32_t>(scope.bytecode));
      }
    }
    EXPECT_LT(fake.memory.reads - before, 4000U);
  }
}

}  // namespace
}  // namespace sockleak
