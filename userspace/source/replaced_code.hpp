// Where a process had other code mapped before: libraries unloaded and others loaded at the same place. The kernel side
// goes on with the old unwind rules until they are taken back, and a known stack's addresses now mean something else.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <unordered_map>

#include "base/ids.hpp"
#include "base/time.hpp"
#include "stack/unwind_rule.hpp"

namespace sockleak {

class ReplacedCode {
 public:
  struct Change {
    KernelTime when, noticed;  // replaced; the last moment at which a walk may have used an old rule
    std::uint64_t start = 0, end = 0;
    std::unordered_map<std::uint64_t, UnwindRule> old_rules;  // by program counter
  };
  void note(Pid pid, Change change);
  void forget(Pid pid) { changes_.erase(pid); }

  [[nodiscard]] bool empty() const { return changes_.empty(); }
  /// Was code of one of these return addresses replaced between the two moments, whichever comes first?
  [[nodiscard]] bool between(Pid pid, KernelTime one, KernelTime other, std::span<const std::uint64_t> frames) const;
  /// May a walk at `when` have used another rule than `right` for this return address?
  [[nodiscard]] bool is_doubtful(Pid pid, KernelTime when, std::uint64_t pc, const UnwindRule& right) const;
  /// Has the code at this return address been replaced after `when`?
  [[nodiscard]] bool is_gone(Pid pid, KernelTime when, std::uint64_t pc) const;

 private:
  static constexpr std::size_t kMostChanges = 256;  // per process; events are seconds old at most
  std::unordered_map<Pid, std::deque<Change>> changes_;
};

}  // namespace sockleak
