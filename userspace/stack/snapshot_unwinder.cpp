// The twin of sl_step() in bpf/stacks/stack.bpf.h: what one accepts or refuses, the other must too.
#include "stack/snapshot_unwinder.hpp"

#include <array>

namespace sockleak {
namespace {

constexpr std::uint64_t kLowestCode = 0x1000;    // nothing is ever mapped below (vm.mmap_min_addr)
constexpr std::uint64_t kStackLimit = 8u << 20;  // the default RLIMIT_STACK: no sound path is further apart
constexpr std::uint64_t kContextBp = 120;        // struct ucontext: gregs begin at 40, eight bytes each, rbp is
constexpr std::uint64_t kContextSp = 160;        // the 10th, rsp the 15th, rip the 16th (x86 sigcontext.h)
constexpr std::uint64_t kContextPc = 168;
constexpr std::size_t kMaxAnswers = 1u << 15;  // 32 768 call sites; then start anew

bool is_code_pointer(std::uint64_t pc) {
  return pc >= kLowestCode && pc >> SL_ASID_SHIFT == 0;
}

std::optional<WalkState> interrupted_frame(const WalkState& state, const StackCopy& copy, WalkEnd& end) {
  const auto bp = copy.word(state.sp + kContextBp);
  const auto sp = copy.word(state.sp + kContextSp);
  const auto pc = copy.word(state.sp + kContextPc);
  if (!bp || !sp || !pc) {
    end = WalkEnd::kReadFailed;
    return std::nullopt;
  }
  if (!is_code_pointer(*pc)) {
    end = WalkEnd::kInsane;
    return std::nullopt;
  }
  return WalkState{.pc = *pc, .sp = *sp, .bp = *bp, .interrupted = true};
}

constexpr std::uint64_t interpreted(int offset) {
  return static_cast<std::uint64_t>(std::int64_t{offset});
}

/// The caller of a frame of HotSpot's interpreter.
std::optional<WalkState> interpreted_frame(const WalkState& state, const StackCopy& copy, WalkEnd& end) {
  const auto sp = copy.word(state.bp + interpreted(SL_INTERPRETED_SENDER_SP));
  const auto bp = copy.word(state.bp);
  const auto pc = copy.word(state.bp + SL_INTERPRETED_SENDER_PC);
  if (!sp || !bp || !pc) {
    end = WalkEnd::kReadFailed;
    return std::nullopt;
  }
  if (*sp % 8 != 0 || *sp <= state.sp || !is_code_pointer(*pc)) {
    end = WalkEnd::kInsane;
    return std::nullopt;
  }
  return WalkState{.pc = *pc, .sp = *sp, .bp = *bp, .interrupted = false};
}

std::optional<std::uint64_t> frame_address(const UnwindRule& rule, const WalkState& state, const StackCopy& copy) {
  const auto offset = static_cast<std::uint64_t>(std::int64_t{rule.cfa_offset});
  switch (rule.kind) {
    case SL_RULE_SP:
      return state.sp + offset;
    case SL_RULE_BP:
    case SL_RULE_BP_SWITCH:
      return state.bp + offset;
    case SL_RULE_SP_DEREF:
      return copy.word(state.sp + offset);
    case SL_RULE_BP_DEREF:
      return copy.word(state.bp + offset);
    default:
      return std::nullopt;
  }
}

// Does a CALL end right before bytes.end()? E8 rel32 or FF /2 with any addressing mode (Intel SDM volume 2, CALL).
// Prefixes lie before the opcode and need no look.
bool ends_with_call(std::span<const std::byte, 7> bytes) {
  const auto at = [&](std::size_t from_end) { return std::to_integer<unsigned>(bytes[7 - from_end]); };
  if (at(5) == 0xe8) return true;
  for (std::size_t length = 2; length <= 7; ++length) {
    if (at(length) != 0xff) continue;
    const unsigned modrm = at(length - 1), mod = modrm >> 6, base = modrm & 7;
    if (((modrm >> 3) & 7) != 2) continue;
    const bool has_sib = mod != 3 && base == 4;
    if (has_sib && length < 3) continue;
    const bool wide = mod == 2 || (mod == 0 && (base == 5 || (has_sib && (at(length - 2) & 7) == 5)));
    const std::size_t displacement = mod == 1 ? 1 : wide ? 4 : 0;
    if (2u + (has_sib ? 1u : 0u) + displacement == length) return true;
  }
  return false;
}

// The copy ends before the words that could confirm or refute a frame-pointer rule: say nothing of this pc rather
// than "no information" for good. The next walk that gets here brings a copy that begins with this frame.
bool copy_too_short(const WalkState& state, const StackCopy& copy) {
  if (state.sp == copy.sp || (copy.wanted != 0 && copy.bytes.size() >= copy.wanted)) return false;
  const bool plausible = state.bp >= state.sp && state.bp % 8 == 0 && state.bp - state.sp < kStackLimit;
  return plausible && !copy.word(state.bp + 8);
}

}  // namespace

std::optional<WalkState> step(const UnwindRule& rule, const WalkState& state, const StackCopy& copy, WalkEnd& end) {
  if (rule.kind == SL_RULE_SIGNAL) return interrupted_frame(state, copy, end);
  if (rule.kind == SL_RULE_INTERPRETED) return interpreted_frame(state, copy, end);
  const auto cfa = frame_address(rule, state, copy);
  if (!cfa) {
    end = WalkEnd::kReadFailed;
    return std::nullopt;
  }
  // A signal handler's stack may lie anywhere; behind it distances count from the interrupted frame.
  const std::uint64_t first = state.sp - copy.sp <= kStackLimit ? copy.sp : state.sp;
  const bool switches = rule.kind == SL_RULE_BP_SWITCH;
  if (*cfa % 8 != 0 || (!switches && (*cfa <= state.sp || *cfa - first > kStackLimit))) {
    end = WalkEnd::kInsane;
    return std::nullopt;
  }
  auto bp = std::optional(state.bp);
  if (rule.bp_offset != 0) {
    const std::uint64_t saved_at = *cfa + static_cast<std::uint64_t>(std::int64_t{rule.bp_offset});
    // Interrupted in an epilogue: the slot is below sp, as bp was popped already. Tables need not mention that.
    if (!state.interrupted || saved_at >= state.sp) bp = copy.word(saved_at);
  } else if (rule.kind == SL_RULE_BP_DEREF) {
    bp = copy.word(state.bp);
  }
  const auto pc = copy.word(*cfa - 8);
  if (!bp || !pc) {
    end = WalkEnd::kReadFailed;
    return std::nullopt;
  }
  if (!is_code_pointer(*pc)) {
    end = WalkEnd::kInsane;
    return std::nullopt;
  }
  return WalkState{.pc = *pc, .sp = *cfa, .bp = *bp, .interrupted = false};
}

/// The traced program's code at the time of the copy, seen through its mappings.
class SnapshotUnwinder::MappedCode final : public CodeOracle {
 public:
  struct Place {
    bool mapped = false;
    ModuleId module = ModuleStore::kUnknown;
    std::uint64_t address = 0;  // file virtual address; 0 = unknown
  };

  MappedCode(SnapshotUnwinder& unwinder, Pid pid, KernelTime when) : unwinder_(unwinder), pid_(pid), when_(when) {}

  /// `back`: 1 for return addresses, as a mapping may end with the call; 0 for interrupted addresses.
  [[nodiscard]] Place place(std::uint64_t pc, std::uint64_t back) const {
    const Mapping* mapping = unwinder_.addresses_.find(pid_, when_, pc - back);
    if (mapping == nullptr) return {};
    const Module& module = unwinder_.modules_.get(mapping->module);
    const std::uint64_t address = module.address_of_offset(mapping->offset + (pc - back - mapping->start));
    return {.mapped = true, .module = mapping->module, .address = address == 0 ? 0 : address + back};
  }

  [[nodiscard]] Before before(std::uint64_t return_address) const {
    const Place at = place(return_address, 1);
    if (!at.mapped) return Before::kNoCall;
    return at.address == 0 ? Before::kUnreadable : unwinder_.instruction_before(at.module, at.address);
  }

  [[nodiscard]] bool is_code(std::uint64_t address) const override { return place(address, 1).mapped; }
  [[nodiscard]] bool follows_call(std::uint64_t address) const override {
    const Place at = place(address, 1);
    if (!at.mapped || at.module != ModuleStore::kUnknown) return before(address) == Before::kCall;
    std::array<std::byte, 7> bytes{};
    const LivingCode& living = unwinder_.living_;
    if (living.read && living.read(pid_, when_, address - bytes.size(), bytes)) return ends_with_call(bytes);
    return living.keeps_frames && living.keeps_frames(pid_, when_);
  }

 private:
  SnapshotUnwinder& unwinder_;
  Pid pid_;
  KernelTime when_;
};

SnapshotUnwinder::Before SnapshotUnwinder::instruction_before(ModuleId module, std::uint64_t address) {
  // File virtual addresses of user programs have 47 bits, modules fewer than 2^14: both fit one key.
  static_assert(ModuleStore::kMaxModules <= 1u << 16);
  const std::uint64_t key = address ^ (std::uint64_t{module.value} << 48);
  if (auto known = before_.find(key); known != before_.end()) return known->second;
  if (before_.size() >= kMaxAnswers) before_.clear();
  std::array<std::byte, 7> bytes{};
  Before before = Before::kUnreadable;
  if (modules_.get(module).read(address - bytes.size(), bytes)) {
    // A handler's return address is put there by the kernel, not by a call.
    const bool sound = ends_with_call(bytes) || RuleCompiler::is_signal_return(modules_.get(module), address) ||
                       compiler_.is_goroutine_start(module, address);
    before = sound ? Before::kCall : Before::kNoCall;
  }
  before_.emplace(key, before);
  return before;
}

WalkedStack SnapshotUnwinder::walk(Pid pid, KernelTime when, const StackCopy& copy, std::size_t max_frames,
                                   const Learn& learn) {
  WalkedStack result;
  MappedCode code(*this, pid, when);
  WalkState state{.pc = copy.pc, .sp = copy.sp, .bp = copy.bp, .interrupted = copy.interrupted};
  for (bool first = true;; first = false) {
    const auto place = code.place(state.pc, state.interrupted ? 0 : 1);
    const auto told = place.module == ModuleStore::kUnknown && living_.rule ? living_.rule(pid, when, state.pc) : std::nullopt;
    const UnwindRule rule = told ? *told : compiler_.compile(place.module, place.address, state, copy, code);
    const bool unknown = rule.source == static_cast<__u8>(RuleSource::kNoInformation);
    if (unknown && copy_too_short(state, copy)) {
      result.stack.end = WalkEnd::kReadFailed;
      return result;
    }
    learn(state.pc, rule);
    if (!first && !state.interrupted && code.before(state.pc) == Before::kNoCall) ++result.unverified;
    if (rule.kind == SL_RULE_STOP) {
      result.stack.end = unknown ? WalkEnd::kMissingRule : WalkEnd::kComplete;
      return result;
    }
    if (result.stack.frames.size() >= max_frames) {
      result.stack.end = WalkEnd::kDepth;
      return result;
    }
    if (rule.kind == SL_RULE_INTERPRETED) {
      const auto method = copy.word(state.bp + interpreted(SL_INTERPRETED_METHOD));
      const auto bytecode = copy.word(state.bp + interpreted(SL_INTERPRETED_BYTECODE));
      if (method && bytecode) result.stack.interpreted.push_back({result.stack.frames.size(), *method, *bytecode});
    }
    const auto caller = step(rule, state, copy, result.stack.end);
    if (!caller) return result;
    result.stack.frames.push_back(caller->pc);
    state = *caller;
  }
}

std::uint64_t SnapshotUnwinder::unverified(Pid pid, KernelTime when, const RawStack& stack) {
  const MappedCode code(*this, pid, when);
  std::uint64_t count = 0;
  bool interrupted = false;  // the frame above a signal frame is wherever the signal came
  for (std::size_t i = 1; i < stack.frames.size(); ++i) {
    const auto place = code.place(stack.frames[i], 1);
    if (!interrupted && code.before(stack.frames[i]) == Before::kNoCall) ++count;
    interrupted = place.mapped && RuleCompiler::is_signal_return(modules_.get(place.module), place.address);
  }
  return count;
}

}  // namespace sockleak
