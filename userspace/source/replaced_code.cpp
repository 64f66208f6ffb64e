#include "source/replaced_code.hpp"

#include <algorithm>
#include <utility>

namespace sockleak {
namespace {

// A return address may be the end of the mapping that its call is in.
bool covers(const ReplacedCode::Change& change, std::uint64_t pc) { return change.start < pc && pc <= change.end; }

bool equal(const UnwindRule& a, const UnwindRule& b) {
  return a.kind == b.kind && a.cfa_offset == b.cfa_offset && a.bp_offset == b.bp_offset;
}

}  // namespace

void ReplacedCode::note(Pid pid, Change change) {
  auto& changes = changes_[pid];
  if (changes.size() >= kMostChanges) changes.pop_front();
  changes.push_back(std::move(change));
}

bool ReplacedCode::between(Pid pid, KernelTime one, KernelTime other, std::span<const std::uint64_t> frames) const {
  const auto process = changes_.find(pid);
  if (process == changes_.end()) return false;
  const KernelTime from = std::min(one, other), to = std::max(one, other);
  return std::ranges::any_of(process->second, [&](const Change& change) {
    return from < change.when && change.when <= to &&
           std::ranges::any_of(frames, [&](std::uint64_t pc) { return covers(change, pc); });
  });
}

bool ReplacedCode::is_doubtful(Pid pid, KernelTime when, std::uint64_t pc, const UnwindRule& right) const {
  const auto process = changes_.find(pid);
  if (process == changes_.end()) return false;
  return std::ranges::any_of(process->second, [&](const Change& change) {
    if (!covers(change, pc) || when < change.when || change.noticed < when) return false;
    const auto old = change.old_rules.find(pc);
    return old != change.old_rules.end() && !equal(old->second, right);
  });
}

bool ReplacedCode::is_gone(Pid pid, KernelTime when, std::uint64_t pc) const {
  const auto process = changes_.find(pid);
  return process != changes_.end() && std::ranges::any_of(process->second, [&](const Change& change) {
           return when < change.when && covers(change, pc);
         });
}

}  // namespace sockleak
