// What was named is known again by its words, which change as other code takes the place.
#include "runtime/java/java_identity.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <array>

#include "runtime/java/process_memory.hpp"

namespace sockleak {
namespace {

constexpr std::uint64_t kBegin = 0x1000, kEnd = 0x1fff;

const Pid kSelf{static_cast<std::uint32_t>(getpid())};

KernelTime now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return KernelTime{static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec)};
}

/// Something at [kBegin, kEnd] in this process, known by two words.
class JavaIdentity : public testing::Test {
 protected:
  JavaIdentity() {
    const std::array<std::uint64_t, 2> words{reinterpret_cast<std::uint64_t>(&words_[0]),
                                             reinterpret_cast<std::uint64_t>(&words_[1])};
    identities_.watch(ProcessMemory(kSelf), kBegin, kEnd, words);
  }
  std::array<std::uint64_t, 2> words_{7, 77};
  JavaIdentities identities_;
};

TEST_F(JavaIdentity, WhatStaysTheSameIsNeverDoubted) {
  EXPECT_TRUE(identities_.check(kSelf).empty());
  EXPECT_FALSE(identities_.doubtful(kBegin, now()));
}

TEST_F(JavaIdentity, WhatChangedIsDoubtedUntilItWasNoticed) {
  const KernelTime named = now();
  words_[1] = 78;
  const auto changes = identities_.check(kSelf);
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].begin, kBegin);
  EXPECT_LE(changes[0].from, named);
  EXPECT_TRUE(identities_.doubtful(kEnd, named)) << "it may have changed just before";
  EXPECT_FALSE(identities_.doubtful(kEnd + 1, named));
  const KernelTime later = now();
  EXPECT_FALSE(identities_.doubtful(kBegin, later)) << "what is there by now is read anew";
  EXPECT_TRUE(identities_.changed(kBegin, named, later));
  EXPECT_FALSE(identities_.changed(kBegin, later, later));
  EXPECT_TRUE(identities_.check(kSelf).empty()) << "told once";
}

TEST_F(JavaIdentity, WordsThatAreGoneAreAChange) {
  auto* page = static_cast<std::uint64_t*>(
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(page, MAP_FAILED);
  *page = 5;
  const std::array<std::uint64_t, 1> word{reinterpret_cast<std::uint64_t>(page)};
  identities_.watch(ProcessMemory(kSelf), 0x5000, 0x5000, word);
  EXPECT_TRUE(identities_.check(kSelf).empty());
  munmap(page, 4096);
  const auto changes = identities_.check(kSelf);
  ASSERT_EQ(changes.size(), 1U) << "the others are still read";
  EXPECT_EQ(changes[0].begin, 0x5000U);
}

TEST_F(JavaIdentity, OfAProcessThatHasEndedNothingChanges) {
  EXPECT_TRUE(identities_.check(Pid{0x7ffffffe}).empty());
}

}  // namespace
}  // namespace sockleak
