// A Symbolizer that answers from what a recording resolved: no files of the traced machine are needed.
#pragma once

#include <map>

#include "event/recording.hpp"
#include "symbolize/symbolizer.hpp"

namespace sockleak {

class ResolvedStacks final : public Symbolizer {
 public:
  /// `recording` must outlive it.
  explicit ResolvedStacks(const Recording& recording);
  /// A stack that the recording did not resolve, as in one that was cut, gives modules and offsets.
  Stack symbolize(const MappedStack& stack) override;

 private:
  const Recording& recording_;
  std::map<MappedStack, const Stack*> resolved_;
};

}  // namespace sockleak
