// Immortal among mortal siblings: the ways of the others to be closed are known, and these have outlived them all.
#pragma once

#include <vector>

#include "judge/siblings.hpp"

namespace sockleak {

struct Survivors {
  std::vector<const Life*> lives;  // oldest first
  double closed = 0;               // how many siblings the comparison rests on
  Duration usual{};                // how long those lay idle, or lived, before they were closed: 95 % of them
  Duration longest{};
  bool by_idle_time = false;       // else by lifetimes
  Duration oldest{};               // of the survivors, by the same measure
  double confidence = 0;
};

/// Siblings that were closed while their peer had not, or any if connecting was our part, against those that lie idle.
[[nodiscard]] Survivors survivors(const Siblings& siblings, Duration older);

}  // namespace sockleak
