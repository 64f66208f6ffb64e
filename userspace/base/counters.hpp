// Everything that was lost, cut or merely guessed has a name, a number and a sentence; the report shows them.
// Add a row to SOCKLEAK_COUNTERS and it appears in text, JSON, recordings and the man page's table.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace sockleak {

// name, breaks_promise (1 = "no leak" can no longer be promised), sentence
#define SOCKLEAK_COUNTERS(X)                                                                                  \
  X(events_lost, 1, "events lost because the ring buffer was full")                                           \
  X(stacks_lost, 0, "stacks lost because the stack ring was full")                                            \
  X(sockets_untracked, 1, "sockets that could not be tracked: kernel storage full")                           \
  X(processes_untracked, 1, "child processes not followed: target table full")                                \
  X(stacks_copied, 0, "stacks that user space finished because an unwind rule was not compiled yet")           \
  X(stack_table_full, 0, "stacks sent more than once: the table of known stacks was full")                    \
  X(stacks_not_kept, 0, "stacks not kept: there were too many different ones")                                \
  X(rules_given_up, 0, "unwind rules given up for others: their table was full")                              \
  X(stacks_unreadable, 0, "stacks cut short: user memory was not readable")                                   \
  X(stacks_insane, 0, "stacks cut short: the next frame made no sense")                                       \
  X(stacks_contended, 0, "stacks given up: the walk was interrupted by another task")                         \
  X(stacks_too_deep, 0, "stacks cut at the depth limit")                                                      \
  X(stacks_without_rule, 0, "stacks cut short: no unwind information")                                        \
  X(stacks_unresolved, 0, "sockets whose stack never arrived")                                                \
  X(frames_unverified, 0, "frames whose return address does not follow a call instruction")                   \
  X(frames_without_module, 0, "frames outside every known module")                                            \
  X(python_stacks_missed, 0, "stacks of Python programs without their Python frames")                         \
  X(python_stacks_broken, 0, "stacks whose Python frames could not all be read")                              \
  X(python_names_lost, 0, "Python frames whose names did not arrive")                                         \
  X(interpreters_unknown, 0, "Python or Java programs whose interpreter is of an unknown version or build")     \
  X(goroutines_lost, 0, "sockets of Go programs whose goroutine or ancestors could not be read")               \
  X(go_runtimes_unknown, 0, "Go programs of a release whose goroutines are not known")                          \
  X(modules_unreadable, 0, "modules that could not be opened")                                                \
  X(hooks_skipped, 0, "hooks not run because one was being run on that processor: perhaps unseen events")      \
  X(accepts_without_cookie, 1, "accepted sockets that had no identity yet")                                   \
  X(accepts_unseen, 0, "accepted sockets of which only the close was seen")                                   \
  X(compat_tasks, 0, "32-bit tasks, whose stacks are not walked")                                             \
  X(records_malformed, 1, "records that could not be decoded")                                                \
  X(records_unknown, 0, "records of an unknown type, skipped")                                                \
  X(sockets_evicted, 1, "sockets forgotten because the table was full")                                       \
  X(closes_without_open, 0, "closes of sockets that were never seen opened")                                  \
  X(hand_overs_cut, 0, "messages with more descriptors than are looked at")                                   \
  X(holders_not_searched, 0, "final looks that could not look everywhere for holders without a descriptor")   \
  X(snapshots_incomplete, 1, "snapshots of the kernel's tables that could not be read to the end")            \
  X(recording_cut, 1, "recordings that end in the middle")                                                    \
  X(mappings_lost, 0, "memory-map changes lost because the perf ring was full")                               \
  X(mappings_dropped, 0, "memory mappings forgotten because the table was full")

enum class Counter : std::uint8_t {
#define SOCKLEAK_COUNTER_ENUM(name, breaks, sentence) name,
  SOCKLEAK_COUNTERS(SOCKLEAK_COUNTER_ENUM)
#undef SOCKLEAK_COUNTER_ENUM
};

struct CounterFact {
  std::string_view name;
  bool breaks_promise;
  std::string_view sentence;
};

inline constexpr std::array kCounterFacts{
#define SOCKLEAK_COUNTER_FACT(name, breaks, sentence) CounterFact{#name, (breaks) != 0, sentence},
    SOCKLEAK_COUNTERS(SOCKLEAK_COUNTER_FACT)
#undef SOCKLEAK_COUNTER_FACT
};

/// All counters by name. A value type: copied into snapshots, recordings and reports.
class Counters {
 public:
  void add(Counter counter, std::uint64_t n = 1) { values_[static_cast<std::size_t>(counter)] += n; }
  void set(Counter counter, std::uint64_t n) { values_[static_cast<std::size_t>(counter)] = n; }
  [[nodiscard]] std::uint64_t get(Counter counter) const { return values_[static_cast<std::size_t>(counter)]; }
  [[nodiscard]] std::uint64_t at(std::size_t index) const { return values_[index]; }

  /// False if anything was lost that could hide a leak.
  [[nodiscard]] bool complete() const {
    for (std::size_t i = 0; i < values_.size(); ++i) {
      if (kCounterFacts[i].breaks_promise && values_[i] != 0) return false;
    }
    return true;
  }

  /// Adds every counter of `other`.
  void merge(const Counters& other) {
    for (std::size_t i = 0; i < values_.size(); ++i) values_[i] += other.values_[i];
  }

 private:
  std::array<std::uint64_t, kCounterFacts.size()> values_{};
};

}  // namespace sockleak
