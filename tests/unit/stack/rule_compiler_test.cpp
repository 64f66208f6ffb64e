#include "stack/rule_compiler.hpp"

#include <gtest/gtest.h>

#include <array>

#include "unit/stack/own_code.hpp"

namespace sockleak {
namespace {

constexpr std::uint64_t kStack = 0x7000'0000;

UnwindRule rule(int kind, RuleSource source, std::int32_t cfa_offset, std::int16_t bp_offset) {
  return {.cfa_offset = cfa_offset,
          .bp_offset = bp_offset,
          .kind = static_cast<__u8>(kind),
          .source = static_cast<__u8>(source)};
}

class RuleCompilerTest : public testing::Test {
 protected:
  // As for a frame in the middle of a walk, with nothing on the stack.
  UnwindRule compile(const char* label, bool interrupted = false) {
    return process_.compiler.compile(process_.program, process_.file_address(label),
                                     WalkState{.pc = address_of(label), .sp = 8, .interrupted = interrupted},
                                     StackCopy{}, ToldCode{});
  }
  UnwindRule compile_on(const char* label, const WalkState& state, std::span<const std::uint64_t> words,
                        const CodeOracle& code) {
    const StackCopy copy{.pc = state.pc, .sp = kStack, .bp = state.bp, .bytes = std::as_bytes(words)};
    return process_.compiler.compile(process_.program, process_.file_address(label), state, copy, code);
  }
  static void expect(const UnwindRule& got, const UnwindRule& wanted) {
    EXPECT_EQ(got.kind, wanted.kind);
    EXPECT_EQ(got.cfa_offset, wanted.cfa_offset);
    EXPECT_EQ(got.bp_offset, wanted.bp_offset);
    EXPECT_STREQ(to_string(static_cast<RuleSource>(got.source)), to_string(static_cast<RuleSource>(wanted.source)));
  }
  // BPF tells the two kinds of STOP apart by cfa_offset: 0 = outermost, else no information.
  static void expect_no_information(const UnwindRule& got) {
    expect(got, rule(SL_RULE_STOP, RuleSource::kNoInformation, 1, 0));
  }

  OwnProcess process_;
};

TEST_F(RuleCompilerTest, TranslatesFramesBelowTheStackPointer) {
  expect(compile(sl_sp_frame), rule(SL_RULE_SP, RuleSource::kCfi, 48, -32));
  expect(compile(sl_sp_frame_bp_kept), rule(SL_RULE_SP, RuleSource::kCfi, 16, 0));
}

TEST_F(RuleCompilerTest, TranslatesFramePointerFrames) {
  expect(compile(sl_bp_frame), rule(SL_RULE_BP, RuleSource::kCfi, 16, -16));
}

TEST_F(RuleCompilerTest, TranslatesRealignedFrames) {
  expect(compile(sl_realigned), rule(SL_RULE_BP_DEREF, RuleSource::kCfi, -8, 0));
  expect(compile(sl_sp_deref), rule(SL_RULE_SP_DEREF, RuleSource::kCfi, 24, 0));
}

TEST_F(RuleCompilerTest, AnUndefinedReturnAddressIsTheOutermostFrame) {
  expect(compile(sl_outermost), rule(SL_RULE_STOP, RuleSource::kOutermost, 0, 0));
}

TEST_F(RuleCompilerTest, RecognizesSignalFramesByTableAndByCode) {
  expect(compile(sl_signal), rule(SL_RULE_SIGNAL, RuleSource::kCfi, 0, 0));
  expect(compile(sl_bare_signal), rule(SL_RULE_SIGNAL, RuleSource::kLeaf, 0, 0));
}

TEST_F(RuleCompilerTest, WhatNoRuleCanSayIsNoInformation) {
  expect_no_information(compile(sl_other_cfa));
  expect_no_information(compile(sl_other_return));
  expect_no_information(compile(sl_far_bp));
  expect_no_information(compile(sl_bp_in_register));
}

TEST_F(RuleCompilerTest, NeverGuessesWhereATableExists) {
  const std::uint64_t caller = 0x5555'0000;
  const std::array<std::uint64_t, 4> words{0, kStack + 64, caller, 0};
  const WalkState state{.pc = address_of(sl_other_cfa), .sp = kStack, .bp = kStack + 8};
  expect_no_information(compile_on(sl_other_cfa, state, words, ToldCode({caller})));
}

TEST_F(RuleCompilerTest, AReturnAddressBelongsToTheCallBeforeIt) {
  expect(compile(sl_last_call), rule(SL_RULE_SP, RuleSource::kCfi, 64, 0));
}

TEST_F(RuleCompilerTest, AnInterruptedAddressIsMeantAsItIs) {
  expect(compile(sl_last_call, true), rule(SL_RULE_SP, RuleSource::kCfi, 8, 0));
  expect(compile(sl_last_call), rule(SL_RULE_SP, RuleSource::kCfi, 64, 0));  // and both are kept apart
}

TEST_F(RuleCompilerTest, AFramePointerIsBelievedIfItLeadsToAReturnAddress) {
  const std::uint64_t caller = 0x5555'0000;
  const std::array<std::uint64_t, 4> words{7, kStack + 64, caller, 0};
  WalkState state{.pc = address_of(sl_bare), .sp = kStack, .bp = kStack + 8};
  expect(compile_on(sl_bare, state, words, ToldCode({caller})), rule(SL_RULE_BP, RuleSource::kFramePointer, 16, -16));
  expect_no_information(compile_on(sl_bare, state, words, ToldCode({caller + 1})));
  state.bp = kStack + 12;
  expect_no_information(compile_on(sl_bare, state, words, ToldCode({caller})));
  state.bp = kStack - 8;
  expect_no_information(compile_on(sl_bare, state, words, ToldCode({caller})));
}

TEST_F(RuleCompilerTest, AFrameWithoutLocalsHasItsFramePointerAtTheTop) {
  const std::uint64_t caller = 0x5555'0000;
  const std::array<std::uint64_t, 2> words{kStack + 64, caller};
  const WalkState state{.pc = address_of(sl_bare), .sp = kStack, .bp = kStack};
  expect(compile_on(sl_bare, state, words, ToldCode({caller})), rule(SL_RULE_BP, RuleSource::kFramePointer, 16, -16));
}

TEST_F(RuleCompilerTest, AFramelessSystemCallReturnsToTheTopOfTheStack) {
  const std::uint64_t caller = 0x5555'0000, its_caller = 0x5555'1000;
  const std::array<std::uint64_t, 4> words{caller, 0, kStack + 64, its_caller};
  const WalkState state{.pc = address_of(sl_bare_syscall), .sp = kStack, .bp = kStack + 16};
  const ToldCode code({caller, its_caller});
  expect(compile_on(sl_bare_syscall, state, words, code), rule(SL_RULE_SP, RuleSource::kLeaf, 8, 0));
  // Not behind a system call, or not where the copy begins: it made a call, so it has a frame.
  expect(compile_on(sl_bare, state, words, code), rule(SL_RULE_BP, RuleSource::kFramePointer, 16, -16));
}

TEST_F(RuleCompilerTest, GuessesAreMadeAnewForEachStack) {
  const std::uint64_t caller = 0x5555'0000;
  const std::array<std::uint64_t, 4> words{7, kStack + 64, caller, 0};
  const WalkState state{.pc = address_of(sl_bare), .sp = kStack, .bp = kStack + 8};
  expect_no_information(compile(sl_bare));
  expect(compile_on(sl_bare, state, words, ToldCode({caller})), rule(SL_RULE_BP, RuleSource::kFramePointer, 16, -16));
  expect_no_information(compile(sl_bare));
}

TEST_F(RuleCompilerTest, UnknownModulesHaveNoRules) {
  expect_no_information(process_.compiler.compile(ModuleStore::kUnknown, 0, {}, {}, ToldCode{}));
  const ModuleId gone = process_.modules.add("/gone", UniqueFd());
  process_.compiler.warm_up(gone);
  expect_no_information(process_.compiler.compile(gone, 0x1234, {}, {}, ToldCode{}));
}

TEST_F(RuleCompilerTest, WarmingUpChangesNoRule) {
  process_.compiler.warm_up(process_.program);
  expect(compile(sl_sp_frame), rule(SL_RULE_SP, RuleSource::kCfi, 48, -32));
  EXPECT_EQ(process_.compiler.compiled(), 1u);
}

}  // namespace
}  // namespace sockleak
