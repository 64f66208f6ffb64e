#include "stack/snapshot_unwinder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "unit/stack/own_code.hpp"

namespace sockleak {
namespace {

using testing::ElementsAre;
using testing::Pair;

constexpr std::uint64_t kStack = 0x7f00'0000'0000;

// A stack written word by word from kStack on, and the walk over it.
class WrittenStack {
 public:
  /// Sets the word at kStack + offset.
  WrittenStack& at(std::uint64_t offset, std::uint64_t word) {
    if (words_.size() <= offset / 8) words_.resize(offset / 8 + 1);
    words_[offset / 8] = word;
    return *this;
  }
  WrittenStack& at(std::uint64_t offset, const char* label) { return at(offset, address_of(label)); }

  WalkedStack walk(OwnProcess& process, const char* pc, std::uint64_t bp = 0, std::size_t max_frames = 100) {
    const StackCopy copy{.pc = address_of(pc),
                         .sp = kStack,
                         .bp = bp,
                         .interrupted = interrupted,
                         .bytes = std::as_bytes(std::span(words_)),
                         .wanted = wanted};
    learned.clear();
    return process.unwinder.walk(
        OwnProcess::kPid, OwnProcess::kNow, copy, max_frames,
        [&](std::uint64_t at, const UnwindRule& rule) { learned.emplace_back(at, rule.kind); });
  }

  std::vector<std::pair<std::uint64_t, int>> learned;
  bool interrupted = false;
  std::uint64_t wanted = 0;

 private:
  std::vector<std::uint64_t> words_;
};

auto frames(const auto&... labels) {
  return ElementsAre(address_of(labels)...);
}

WrittenStack three_frames() {
  WrittenStack stack;
  stack.at(16, kStack + 64).at(40, sl_bp_frame);        // sl_sp_frame: CFA = kStack + 48, saved bp at CFA - 32
  stack.at(64, std::uint64_t{0}).at(72, sl_outermost);  // sl_bp_frame: CFA = bp + 16
  return stack;
}

TEST(SnapshotUnwinder, WalksToTheOutermostFrame) {
  OwnProcess process;
  WrittenStack stack = three_frames();
  const WalkedStack walked = stack.walk(process, sl_sp_frame);
  EXPECT_THAT(walked.stack.frames, frames(sl_bp_frame, sl_outermost));
  EXPECT_EQ(walked.stack.end, WalkEnd::kComplete);
  EXPECT_EQ(walked.unverified, 0u);
}

TEST(SnapshotUnwinder, TeachesEveryRuleItUsedByProcessAddress) {
  OwnProcess process;
  WrittenStack stack = three_frames();
  (void)stack.walk(process, sl_sp_frame);
  EXPECT_THAT(stack.learned,
              ElementsAre(Pair(address_of(sl_sp_frame), SL_RULE_SP), Pair(address_of(sl_bp_frame), SL_RULE_BP),
                          Pair(address_of(sl_outermost), SL_RULE_STOP)));
}

TEST(SnapshotUnwinder, ACutCopyTeachesTheFrameWhereItEnds) {
  OwnProcess process;
  WrittenStack stack;
  stack.at(16, kStack + 64).at(40, sl_bp_frame);
  const WalkedStack walked = stack.walk(process, sl_sp_frame);
  EXPECT_THAT(walked.stack.frames, frames(sl_bp_frame));
  EXPECT_EQ(walked.stack.end, WalkEnd::kReadFailed);
  EXPECT_THAT(stack.learned,
              ElementsAre(Pair(address_of(sl_sp_frame), SL_RULE_SP), Pair(address_of(sl_bp_frame), SL_RULE_BP)));
}

TEST(SnapshotUnwinder, AnEmptyCopyStillTeachesTheMissedRule) {
  OwnProcess process;
  WrittenStack stack;
  const WalkedStack walked = stack.walk(process, sl_sp_frame);
  EXPECT_TRUE(walked.stack.frames.empty());
  EXPECT_EQ(walked.stack.end, WalkEnd::kReadFailed);
  EXPECT_THAT(stack.learned, ElementsAre(Pair(address_of(sl_sp_frame), SL_RULE_SP)));
}

TEST(SnapshotUnwinder, SaysWhenThereIsNoUnwindInformation) {
  OwnProcess process;
  WrittenStack stack;
  stack.at(8, sl_other_cfa).at(64, std::uint64_t{0});
  const WalkedStack walked = stack.walk(process, sl_sp_frame_bp_kept);
  EXPECT_THAT(walked.stack.frames, frames(sl_other_cfa));
  EXPECT_EQ(walked.stack.end, WalkEnd::kMissingRule);
  EXPECT_THAT(stack.learned, testing::Contains(Pair(address_of(sl_other_cfa), SL_RULE_STOP)));
}

TEST(SnapshotUnwinder, LeavesARuleOpenThatTheCopyIsTooShortToValidate) {
  OwnProcess process;
  WrittenStack stack;
  stack.at(8, sl_bare);
  const WalkedStack cut = stack.walk(process, sl_sp_frame_bp_kept, kStack + 4096);
  EXPECT_EQ(cut.stack.end, WalkEnd::kReadFailed);
  EXPECT_THAT(stack.learned, ElementsAre(Pair(address_of(sl_sp_frame_bp_kept), SL_RULE_SP)));

  stack.wanted = 16;  // the copy is the whole stack: bp points nowhere
  const WalkedStack whole = stack.walk(process, sl_sp_frame_bp_kept, kStack + 4096);
  EXPECT_EQ(whole.stack.end, WalkEnd::kMissingRule);
  EXPECT_THAT(stack.learned, testing::Contains(Pair(address_of(sl_bare), SL_RULE_STOP)));
}

TEST(SnapshotUnwinder, StopsAtTheFrameLimit) {
  OwnProcess process;
  WrittenStack stack;
  for (std::uint64_t i = 0; i < 20; ++i) stack.at(16 * i + 8, sl_sp_frame_bp_kept);
  const WalkedStack walked = stack.walk(process, sl_sp_frame_bp_kept, 0, 7);
  EXPECT_EQ(walked.stack.frames.size(), 7u);
  EXPECT_EQ(walked.stack.end, WalkEnd::kDepth);
}

TEST(SnapshotUnwinder, CountsReturnAddressesThatFollowNoCall) {
  OwnProcess process;
  WrittenStack stack;
  stack.at(8, sl_no_call).at(24, std::uint64_t{0x4242'4242}).at(64, std::uint64_t{0});
  const WalkedStack walked = stack.walk(process, sl_sp_frame_bp_kept);
  EXPECT_EQ(walked.stack.frames.size(), 2u);
  EXPECT_EQ(walked.unverified, 2u);
  EXPECT_EQ(walked.stack.end, WalkEnd::kMissingRule);
}

TEST(SnapshotUnwinder, TheFirstFrameNeedsNoCallBeforeIt) {
  OwnProcess process;
  WrittenStack stack;
  stack.at(8, sl_outermost);
  EXPECT_EQ(stack.walk(process, sl_no_call).unverified, 0u);
}

TEST(SnapshotUnwinder, GoesOnBehindASignalHandler) {
  OwnProcess process;
  WrittenStack stack;
  stack.at(8, sl_signal);  // handler: CFA = kStack + 16 = ucontext
  stack.at(16 + 120, kStack + 0x300).at(16 + 160, kStack + 0x200).at(16 + 168, sl_last_call);
  stack.at(0x200, sl_bp_frame);  // interrupted at CFA = sp + 8, not + 64
  stack.at(0x300, std::uint64_t{0}).at(0x308, sl_outermost);
  const WalkedStack walked = stack.walk(process, sl_sp_frame_bp_kept);
  EXPECT_THAT(walked.stack.frames, frames(sl_signal, sl_last_call, sl_bp_frame, sl_outermost));
  EXPECT_EQ(walked.stack.end, WalkEnd::kComplete);
  EXPECT_EQ(walked.unverified, 0u);
}

TEST(SnapshotUnwinder, ASignalStackElsewhereEndsWithTheInterruptedRuleLearned) {
  OwnProcess process;
  WrittenStack stack;
  stack.at(8, sl_signal)
      .at(16 + 120, std::uint64_t{0x1000'0100})
      .at(16 + 160, std::uint64_t{0x1000'0000})
      .at(16 + 168, sl_bp_frame);
  const WalkedStack walked = stack.walk(process, sl_sp_frame_bp_kept);
  EXPECT_EQ(walked.stack.end, WalkEnd::kReadFailed);
  EXPECT_EQ(stack.learned.back().first, address_of(sl_bp_frame));
}

TEST(SnapshotUnwinder, RestoresTheFramePointerBehindARealignedFrame) {
  OwnProcess process;
  WrittenStack stack;
  const std::uint64_t bp = kStack + 32, outer_bp = kStack + 0x100;
  stack.at(24, kStack + 0x80);                   // *(bp - 8): the CFA
  stack.at(32, outer_bp).at(0x78, sl_bp_frame);  // *bp: the caller's bp
  stack.at(0x100, std::uint64_t{0}).at(0x108, sl_outermost);
  const WalkedStack walked = stack.walk(process, sl_realigned, bp);
  EXPECT_THAT(walked.stack.frames, frames(sl_bp_frame, sl_outermost));
  EXPECT_EQ(walked.stack.end, WalkEnd::kComplete);
}

TEST(SnapshotUnwinder, AFramePointerBelowTheStackMakesNoSense) {
  OwnProcess process;
  WrittenStack stack = three_frames();
  EXPECT_EQ(stack.walk(process, sl_bp_frame, kStack - 64).stack.end, WalkEnd::kInsane);
  EXPECT_EQ(stack.walk(process, sl_bp_frame, kStack + 4).stack.end, WalkEnd::kInsane);
  EXPECT_EQ(stack.walk(process, sl_bp_frame, kStack + (9u << 20)).stack.end, WalkEnd::kInsane);
  EXPECT_EQ(stack.walk(process, sl_bp_frame, kStack + (1u << 20)).stack.end, WalkEnd::kReadFailed);
}

TEST(SnapshotUnwinder, ReturnAddressesMustBeUserAddresses) {
  OwnProcess process;
  for (const std::uint64_t word : {std::uint64_t{0}, std::uint64_t{0xfff}, ~std::uint64_t{0}, std::uint64_t{1} << 47}) {
    WrittenStack stack;
    stack.at(8, word);
    const WalkedStack walked = stack.walk(process, sl_sp_frame_bp_kept);
    EXPECT_EQ(walked.stack.end, WalkEnd::kInsane);
    EXPECT_TRUE(walked.stack.frames.empty());
  }
}

TEST(StackCopy, HoldsOnlyAlignedWordsInside) {
  const std::array<std::uint64_t, 2> words{5, 6};
  const StackCopy copy{.sp = 0x1000, .bytes = std::as_bytes(std::span(words)).first(15)};
  EXPECT_EQ(copy.word(0x1000), 5u);
  EXPECT_EQ(copy.word(0x1008), std::nullopt);  // one byte is missing
  EXPECT_EQ(copy.word(0x1001), std::nullopt);
  EXPECT_EQ(copy.word(0xff8), std::nullopt);
  EXPECT_EQ(copy.word(~std::uint64_t{7}), std::nullopt);
  EXPECT_EQ(StackCopy{}.word(0), std::nullopt);
}

TEST(Stack, EveryEndButCompleteHasAReason) {
  EXPECT_STREQ(why_short(WalkEnd::kComplete), "");
  for (int end = 0; end <= 8; ++end) {
    EXPECT_EQ(why_short(static_cast<WalkEnd>(end))[0] == '\0', end == 1) << end;
  }
  EXPECT_STREQ(to_string(FrameKind::kPython), "python");
}

// Nothing that a program may have on its stack can crash or hang the walk.
TEST(SnapshotUnwinder, SurvivesGarbage) {
  OwnProcess process;
  std::mt19937_64 random(4711);
  const std::array labels{sl_sp_frame,  sl_sp_frame_bp_kept, sl_bp_frame,   sl_realigned, sl_sp_deref,
                          sl_outermost, sl_signal,           sl_other_cfa,  sl_bare,      sl_bare_syscall,
                          sl_no_call,   sl_last_call,        sl_bare_signal};
  std::array<std::uint64_t, 10> ends{};
  std::uint64_t walked_frames = 0;
  for (int round = 0; round < 10'000; ++round) {
    const std::uint64_t sp = random() % 10 == 0 ? random() : kStack;
    std::vector<std::uint64_t> words(random() % 200);
    const auto anything = [&]() -> std::uint64_t {
      switch (random() % 16) {
        case 0:
          return sp + random() % 2048 / 8 * 8;
        case 1:
          return address_of(sl_sp_frame) + random() % 65536;
        case 2:
          return random() >> random() % 64;
        default:  // mostly a frame that leads on, or no walk would get far
          return address_of(random() % 4 != 0 ? sl_sp_frame_bp_kept : labels[random() % labels.size()]);
      }
    };
    const auto noise = random() % 3;
    for (auto& word : words) word = noise == 0 ? random() : anything();
    const auto bytes = std::as_bytes(std::span(words));
    const StackCopy copy{.pc = anything(),
                         .sp = sp,
                         .bp = anything(),
                         .interrupted = random() % 4 == 0,
                         .bytes = bytes.first(bytes.size() - std::min<std::size_t>(bytes.size(), random() % 8)),
                         .wanted = random() % 2 * bytes.size()};
    std::size_t learned = 0;
    const WalkedStack walked = process.unwinder.walk(OwnProcess::kPid, OwnProcess::kNow, copy, 127,
                                                     [&](std::uint64_t, const UnwindRule&) { ++learned; });
    ASSERT_LE(walked.stack.frames.size(), 127u);
    ASSERT_NE(walked.stack.end, WalkEnd::kNone);
    ASSERT_GE(learned, 1u);
    walked_frames += walked.stack.frames.size();
    ++ends[static_cast<std::size_t>(walked.stack.end)];
  }
  EXPECT_GT(walked_frames, 10'000u);  // the garbage is good enough to be walked
  for (const WalkEnd end : {WalkEnd::kComplete, WalkEnd::kMissingRule, WalkEnd::kReadFailed, WalkEnd::kInsane}) {
    EXPECT_GT(ends[static_cast<std::size_t>(end)], 100u) << why_short(end);
  }
}

// C code called from Go runs on the thread's stack, far above the goroutine's.
TEST(SnapshotUnwinder, AnInterpretedFrameSaysWhatItRunsAndWhereItsCallerBegins) {
  constexpr std::uint64_t kCode = 0x7e00'0000'0000, kMethod = 0x1230, kBytecode = 0x4567;
  OwnProcess process;
  process.unwinder.use({.read = {}, .keeps_frames = {}, .rule = [](Pid, KernelTime, std::uint64_t pc) -> std::optional<UnwindRule> {
                          if (pc != kCode) return std::nullopt;
                          return UnwindRule{.cfa_offset = 0, .bp_offset = 0, .kind = SL_RULE_INTERPRETED,
                                            .source = static_cast<__u8>(RuleSource::kHotspot)};
                        }});
  // Two such frames: bp at 80 and at 240. The first one's arguments lie at 112, above its locals.
  std::vector<std::uint64_t> words(40);
  const auto set = [&](std::uint64_t offset, std::uint64_t word) { words[offset / 8] = word; };
  for (const std::uint64_t bp : {std::uint64_t{80}, std::uint64_t{240}}) {
    set(bp - 64, bp == 80 ? kBytecode : 0);
    set(bp - 24, kMethod + bp);
    set(bp - 8, kStack + bp + 32);
    set(bp, kStack + 240);
    set(bp + 8, bp == 80 ? kCode : address_of(sl_outermost));
  }
  const StackCopy copy{.pc = kCode, .sp = kStack, .bp = kStack + 80, .interrupted = false,
                       .bytes = std::as_bytes(std::span(words)), .wanted = 0};
  const WalkedStack walked =
      process.unwinder.walk(OwnProcess::kPid, OwnProcess::kNow, copy, 100, [](std::uint64_t, const UnwindRule&) {});
  EXPECT_THAT(walked.stack.frames, ElementsAre(kCode, address_of(sl_outermost)));
  EXPECT_EQ(walked.stack.end, WalkEnd::kComplete);
  ASSERT_EQ(walked.stack.interpreted.size(), 2U);
  EXPECT_EQ(walked.stack.interpreted[0].frame, 0U);
  EXPECT_EQ(walked.stack.interpreted[0].method, kMethod + 80);
  EXPECT_EQ(walked.stack.interpreted[0].bytecode, kBytecode);
  EXPECT_EQ(walked.stack.interpreted[1].frame, 1U);
  EXPECT_EQ(walked.stack.interpreted[1].bytecode, 0U);
}

// A process that has ended leaves its mappings, but no bytes of what it made at run time.
TEST(SnapshotUnwinder, CodeWhoseBytesAreGoneIsTrustedIfItsMakerKeepsFramePointers) {
  constexpr std::uint64_t kMade = 0x7e00'0000'0000;
  OwnProcess process;
  process.addresses.map(OwnProcess::kPid, KernelTime{1},
                        Mapping{.start = kMade, .end = kMade + 4096, .offset = 0, .module = ModuleStore::kUnknown});
  WrittenStack stack;
  stack.at(8, kStack + 32).at(16, kMade + 100).at(32, std::uint64_t{0}).at(40, sl_outermost);
  const auto walk = [&](bool readable, bool keeps_frames) {
    process.unwinder.use({.read = [readable](Pid, KernelTime, std::uint64_t, std::span<std::byte>) { return readable; },
                          .keeps_frames = [keeps_frames](Pid, KernelTime) { return keeps_frames; },
                          .rule = {}});
    return stack.walk(process, sl_bare, kStack + 8).stack;
  };
  EXPECT_THAT(walk(false, true).frames, ElementsAre(kMade + 100, address_of(sl_outermost)));
  EXPECT_EQ(walk(false, true).end, WalkEnd::kComplete);
  EXPECT_EQ(walk(false, false).end, WalkEnd::kMissingRule);
  EXPECT_EQ(walk(true, true).end, WalkEnd::kMissingRule);  // what was read are zeros, and no call
}

TEST(Step, OnlyASwitchRuleLeadsToAnotherStack) {
  const std::array<std::uint64_t, 4> words{0, 0, 0x5555'5000, 0x5555'6000};  // saved bp and return address at 16
  const StackCopy copy{.pc = 0x5555'7000, .sp = kStack, .bp = 0, .bytes = std::as_bytes(std::span(words))};
  const WalkState state{.pc = 0x5555'7000, .sp = kStack + (1ull << 32), .bp = kStack + 16};
  UnwindRule rule{.cfa_offset = 16, .bp_offset = -16, .kind = SL_RULE_BP_SWITCH, .source = 0};
  WalkEnd end = WalkEnd::kNone;
  const auto caller = step(rule, state, copy, end);
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->sp, kStack + 32);
  EXPECT_EQ(caller->bp, 0x5555'5000u);
  EXPECT_EQ(caller->pc, 0x5555'6000u);
  rule.kind = SL_RULE_BP;
  EXPECT_FALSE(step(rule, state, copy, end));
  EXPECT_EQ(end, WalkEnd::kInsane);
}

}  // namespace
}  // namespace sockleak
