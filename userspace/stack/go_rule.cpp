// Frame layout: src/runtime/stack.go of Go ("Stack frame layout, x86"): the return address is on top, below it the
// caller's bp if the frame has any bytes at all.
#include "stack/go_rule.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>

namespace sockleak {
namespace {

using std::string_view;

constexpr std::int32_t kReturnAddress = 8, kSavedBp = -16;

UnwindRule rule_of(int kind, RuleSource source, std::int32_t cfa_offset, std::int16_t bp_offset) {
  return {.cfa_offset = cfa_offset,
          .bp_offset = bp_offset,
          .kind = static_cast<__u8>(kind),
          .source = static_cast<__u8>(source)};
}

string_view without_abi(string_view name) {
  return name.substr(0, name.find(".abi"));
}

/// Nothing called these: the runtime starts threads and goroutines with them, or switches to a stack for good.
bool is_outermost(string_view name) {
  static constexpr auto kNames = std::to_array<string_view>(
      {"runtime.goexit", "runtime.mcall", "runtime.mstart", "runtime.rt0_go", "_rt0_amd64", "_rt0_amd64_linux"});
  return std::ranges::find(kNames, name) != kNames.end();
}

/// These change to another stack and back by hand, where the table's depth means nothing.
bool leaves_the_stack(string_view name) {
  static constexpr auto kNames = std::to_array<string_view>(
      {"runtime.systemstack", "runtime.morestack", "runtime.gogo", "runtime.cgocallback", "runtime.sigtramp"});
  return std::ranges::find(kNames, name) != kNames.end();
}

}  // namespace

std::optional<UnwindRule> go_rule(GoTable& table, std::uint64_t address) {
  const auto function = table.function_at(address);
  if (!function) return std::nullopt;
  const std::string full_name = table.name(*function);
  const string_view name = without_abi(full_name);
  if (is_outermost(name)) return rule_of(SL_RULE_STOP, RuleSource::kOutermost, 0, 0);
  // C code runs on the thread's own stack. It leaves bp alone, as its ABI demands, and so does asmcgocall: bp is
  // that of the goroutine's last frame, which belongs to runtime.cgocall.
  if (name == "runtime.asmcgocall") return rule_of(SL_RULE_BP_SWITCH, RuleSource::kGoTable, 16, kSavedBp);
  const auto depth = table.depth(*function, address);
  if (leaves_the_stack(name) || !depth || *depth < 0 || *depth % kReturnAddress != 0) {
    return rule_of(SL_RULE_STOP, RuleSource::kNoInformation, 1, 0);
  }
  const bool saves_bp = *depth > 0;
  return rule_of(SL_RULE_SP, RuleSource::kGoTable, *depth + kReturnAddress, saves_bp ? kSavedBp : 0);
}

bool is_goroutine_start(GoTable& table, std::uint64_t address) {
  const auto function = table.function_at(address);
  return function && without_abi(table.name(*function)) == "runtime.goexit";
}

}  // namespace sockleak
