// Passes from the first instruction on in the order of addresses. Where control does not come from above, what a branch
// from elsewhere has left behind is the state, until a pass learns nothing new.
#include "stack/prologue_scan.hpp"

#include <map>

#include "stack/x86_instruction.hpp"

namespace sockleak {
namespace {

using Does = X86Instruction::Does;

struct Frame {
  std::int64_t depth = 0;            // bytes between sp and the return address; -1 = sp is lost
  std::int64_t bp_saved_at = 0;      // depth right after bp was pushed; 0 = bp is the caller's
  std::int64_t bp_is_frame = 0;      // depth when bp was made the frame pointer; 0 = it is none
  friend bool operator==(const Frame&, const Frame&) = default;
};
constexpr std::int64_t kLost = -1;
constexpr std::int64_t kDeepest = 8 << 20;
constexpr std::int64_t kFarthestBp = 1024;  // pushed among the first

class Scan {
 public:
  Scan(std::span<const std::byte> code, std::uint64_t asked) : code_(code), asked_(asked) {}

  /// False if the code is not understood.
  bool run() {
    for (std::size_t learned = kPasses; learned != left_behind_.size() && passes_++ < kPasses;) {
      learned = left_behind_.size();
      frame_ = {};
      known_ = true;
      for (std::uint64_t at = 0; at < code_.size();) {
        const auto now = decode_x86(code_.subspan(at));
        if (!arrive(at)) return false;
        if (!now) return at > asked_ || (at == asked_ && answer_);
        if (known_ && !apply(*now, at + now->length)) return false;
        at += now->length;
      }
      if (!arrive(code_.size())) return false;
    }
    return true;
  }

  bool frames_bp = false;  // in front of what is asked for

  [[nodiscard]] std::optional<UnwindRule> result() const {
    if (!answer_) return std::nullopt;
    UnwindRule rule{.cfa_offset = 0, .bp_offset = 0, .kind = SL_RULE_SP, .source = static_cast<__u8>(RuleSource::kPrologue)};
    if (answer_->bp_is_frame != 0) {
      rule.kind = SL_RULE_BP;
      rule.cfa_offset = static_cast<std::int32_t>(answer_->bp_is_frame + 8);
    } else if (answer_->depth != kLost && answer_->depth % 8 == 0) {
      rule.cfa_offset = static_cast<std::int32_t>(answer_->depth + 8);
    } else {
      return std::nullopt;
    }
    if (answer_->bp_saved_at > kFarthestBp) return std::nullopt;
    if (answer_->bp_saved_at != 0) rule.bp_offset = static_cast<std::int16_t>(-answer_->bp_saved_at - 8);
    return rule;
  }

 private:
  static constexpr std::size_t kPasses = 8;

  bool arrive(std::uint64_t at) {
    if (const auto left = left_behind_.find(at); left != left_behind_.end()) {
      if (known_ && frame_ != left->second) return false;
      frame_ = left->second;
      known_ = true;
    }
    if (at == asked_ && known_) answer_ = frame_;
    return true;
  }

  bool apply(const X86Instruction& now, std::uint64_t next) {
    switch (now.does) {
      case Does::kPush:
      case Does::kPushBp:
        move(now.value);
        if (now.does == Does::kPushBp && frame_.bp_saved_at == 0 && frame_.depth != kLost) {
          frame_.bp_saved_at = frame_.depth;
        }
        break;
      case Does::kPop:
      case Does::kPopBp:
        if (now.does == Does::kPopBp && frame_.bp_saved_at == frame_.depth) frame_.bp_saved_at = frame_.bp_is_frame = 0;
        move(-now.value);
        break;
      case Does::kMoveSp:
        move(-now.value);
        break;
      case Does::kSetBp:
        if (frame_.depth != kLost && frame_.bp_saved_at == frame_.depth) {
          frame_.bp_is_frame = frame_.depth;
          frames_bp |= next <= asked_;
        }
        break;
      case Does::kLeave:
        frame_ = {.depth = frame_.bp_is_frame == 0 ? kLost : frame_.bp_is_frame - 8};
        break;
      case Does::kBreakSp:
        frame_.depth = kLost;
        break;
      case Does::kBranch:
      case Does::kJump:
        if (now.direct && !leave_behind(next + static_cast<std::uint64_t>(now.value))) return false;
        known_ = now.does == Does::kBranch;
        break;
      case Does::kEnd:
        known_ = false;
        break;
      case Does::kCall:
      case Does::kOther:
        break;
    }
    return frame_.depth <= kDeepest && frame_.depth >= kLost;
  }

  void move(std::int64_t bytes) {
    if (frame_.depth == kLost) return;
    frame_.depth += bytes;
    if (frame_.depth < 0) frame_.depth = kLost - 1;  // above the return address: not a function's begin
  }

  bool leave_behind(std::uint64_t target) {
    if (target > code_.size()) return true;  // another function, or the cold part of this one
    const auto [entry, is_new] = left_behind_.try_emplace(target, frame_);
    return is_new || entry->second == frame_;
  }

  std::span<const std::byte> code_;
  std::uint64_t asked_;
  Frame frame_;
  bool known_ = true;
  std::size_t passes_ = 0;
  std::optional<Frame> answer_;
  std::map<std::uint64_t, Frame> left_behind_;
};

/// push %rbp; mov %rsp, %rbp somewhere in front of what is asked for, whatever else the function does to its stack: V8's
/// builtins begin by taking their return address away.
[[nodiscard]] bool makes_frame(std::span<const std::byte> code, std::uint64_t asked) {
  bool pushed = false;
  for (std::uint64_t at = 0; at < asked;) {
    const auto now = decode_x86(code.subspan(at));
    if (!now) return false;
    at += now->length;
    if (pushed && now->does == Does::kSetBp) return at <= asked;
    pushed = now->does == Does::kPushBp;
  }
  return false;
}

}  // namespace

ScannedCode scan_prologue(std::span<const std::byte> code, std::uint64_t asked) {
  for (const std::span<const std::byte> part : {code, code.first(asked)}) {
    Scan scan(part, asked);
    const bool understood = scan.run();
    if (!understood && part.size() > asked) continue;  // what lies behind may contradict itself
    if (!understood) return {.rule = std::nullopt, .frames_bp = scan.frames_bp || makes_frame(part, asked)};
    return {.rule = scan.result(), .frames_bp = scan.frames_bp};
  }
  return {};
}

std::optional<std::uint64_t> end_of_first_call(std::span<const std::byte> code) {
  std::size_t at = 0;
  while (at < code.size()) {
    const auto now = decode_x86(code.subspan(at));
    if (!now || now->does == Does::kEnd) return std::nullopt;
    at += now->length;
    if (now->does == Does::kCall) return at;
  }
  return std::nullopt;
}

}  // namespace sockleak
