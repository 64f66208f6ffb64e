// What is open at the end and was not charged: why not.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "judge/finding.hpp"
#include "judge/siblings.hpp"

namespace sockleak {

/// Open sockets, each in one of these.
struct Account {
  std::uint64_t listening = 0;
  std::uint64_t in_use = 0;      // used lately, or waited for
  std::uint64_t pooled = 0;      // idle, and the others of their kind show that idle ones are taken up again
  std::uint64_t kept = 0;        // idle, one or two of their kind: kept for life, or too few to tell
  std::uint64_t undecided = 0;   // idle, and nothing was opened or closed beside them that would tell
  std::uint64_t charged = 0;     // in a finding

  [[nodiscard]] std::uint64_t open() const { return listening + in_use + pooled + kept + undecided + charged; }
};

/// `findings`: what judge() made of the same.
[[nodiscard]] Account account_of(const Tracker& tracker, KernelTime now, Duration older, const std::vector<Finding>& findings,
                                 const NamesOf& names = unnamed);

}  // namespace sockleak
