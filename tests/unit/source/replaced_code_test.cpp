#include "source/replaced_code.hpp"

#include <gtest/gtest.h>

#include <array>

namespace sockleak {
namespace {

constexpr Pid kPid{7};
constexpr std::uint64_t kStart = 0x1000, kEnd = 0x2000;
constexpr KernelTime kWhen{100}, kNoticed{200};

UnwindRule rule(int cfa_offset) {
  return {.cfa_offset = cfa_offset, .bp_offset = 0, .kind = SL_RULE_SP, .source = static_cast<__u8>(RuleSource::kCfi)};
}

ReplacedCode replaced() {
  ReplacedCode code;
  code.note(kPid, {.when = kWhen, .noticed = kNoticed, .start = kStart, .end = kEnd, .old_rules = {{0x1500, rule(16)}}});
  return code;
}

TEST(ReplacedCode, IsBetweenTheMomentsOnBothSidesOfTheChange) {
  const ReplacedCode code = replaced();
  const std::array<std::uint64_t, 2> frames{0x500, 0x1500}, others{0x500, 0x2500};
  EXPECT_TRUE(code.between(kPid, {50}, {150}, frames));
  EXPECT_TRUE(code.between(kPid, {150}, {50}, frames));
  EXPECT_FALSE(code.between(kPid, {100}, {150}, frames));  // told when it was new
  EXPECT_FALSE(code.between(kPid, {50}, {99}, frames));
  EXPECT_FALSE(code.between(kPid, {50}, {150}, others));
  EXPECT_FALSE(code.between(Pid{8}, {50}, {150}, frames));
}

TEST(ReplacedCode, IsDoubtfulWhileTheOldRuleMayBeUsedAndDiffers) {
  const ReplacedCode code = replaced();
  EXPECT_TRUE(code.is_doubtful(kPid, {150}, 0x1500, rule(32)));
  EXPECT_FALSE(code.is_doubtful(kPid, {150}, 0x1500, rule(16)));
  EXPECT_FALSE(code.is_doubtful(kPid, {99}, 0x1500, rule(32)));
  EXPECT_FALSE(code.is_doubtful(kPid, {201}, 0x1500, rule(32)));
  EXPECT_FALSE(code.is_doubtful(kPid, {150}, 0x1600, rule(32)));  // the kernel side had no rule
}

TEST(ReplacedCode, IsGoneForWhatWasBefore) {
  ReplacedCode code = replaced();
  EXPECT_TRUE(code.is_gone(kPid, {99}, kEnd));  // the call is in the mapping
  EXPECT_FALSE(code.is_gone(kPid, {99}, kStart));
  EXPECT_FALSE(code.is_gone(kPid, {100}, 0x1500));
  code.forget(kPid);
  EXPECT_TRUE(code.empty());
}

}  // namespace
}  // namespace sockleak
