// What was named once in a Java process, and the words of its memory by which it is known again: compiled code is
// discarded and other code takes its place, and so do methods of classes that are unloaded.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "base/ids.hpp"
#include "base/time.hpp"
#include "runtime/java/target_memory.hpp"

namespace sockleak {

class JavaIdentities {
 public:
  /// Between these two moments another thing took the place of the one at [begin, end].
  struct Change { KernelTime from, to; std::uint64_t begin, end; };

  /// From now on the thing at [begin, end] is known by the words at these addresses.
  void watch(const TargetMemory& memory, std::uint64_t begin, std::uint64_t end, std::span<const std::uint64_t> addresses);

  /// Must be looked at again before what happened at `when` can be named?
  [[nodiscard]] bool due(KernelTime when) const { return !things_.empty() && checked_ + pause_ < when; }
  /// Looks at everything again; what has changed is no longer watched.
  std::vector<Change> check(Pid pid);

  /// May something else than now have been at the address at that time?
  [[nodiscard]] bool doubtful(std::uint64_t address, KernelTime when) const;
  /// Did something else come to be at the address between the two moments, whichever comes first?
  [[nodiscard]] bool changed(std::uint64_t address, KernelTime one, KernelTime other) const;

 private:
  // HotSpot frees code only after it was found unused in a whole collection, so this is a short time. Where there is much to
  // look at, it is longer: looking must take no more than a fiftieth of it.
  static constexpr Duration kShortest = std::chrono::milliseconds(10);
  static constexpr int kShare = 50;
  static constexpr std::size_t kMostChanges = 1024;
  struct Word { std::uint64_t address, value; };
  struct Thing {
    std::uint64_t begin, end;
    std::vector<Word> words;
    KernelTime known;
  };
  std::vector<Thing> things_;
  std::deque<Change> changes_;
  KernelTime checked_{};
  Duration pause_ = kShortest;
};

}  // namespace sockleak
