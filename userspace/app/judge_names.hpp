// What the judge asks of names: which stacks are the same place, which open connections for a library's pool, which belong to
// a runtime, and who closed what nobody had closed.
#pragma once

#include <unordered_map>

#include "judge/judge.hpp"
#include "stack/stack_store.hpp"
#include "symbolize/symbolizer.hpp"

namespace sockleak {

/// Answers by the names of stacks; each stack is asked for once. Everything must outlive it.
class StackKnowledge {
 public:
  StackKnowledge(const StackStore& stacks, Symbolizer& symbolizer) : stacks_(stacks), symbolizer_(symbolizer) {}

  [[nodiscard]] JudgeNames names();

  struct Facts {
    StackNames names;
    bool pool = false;
    bool furniture = false;
    Reclaimer reclaimer = Reclaimer::kNone;
  };
  [[nodiscard]] const Facts& of(StackId id);

 private:
  const StackStore& stacks_;
  Symbolizer& symbolizer_;
  std::unordered_map<StackId, Facts> known_;
};

/// Functions and files of libraries that keep connections for whoever asks next.
[[nodiscard]] bool opens_for_pool(const Stack& stack);
/// The runtime's own: wake-up pipes, resolvers, the marker that the JDK puts in place of what it closes.
[[nodiscard]] bool is_furniture(const Stack& stack);
[[nodiscard]] Reclaimer reclaimer_of(const Stack& closing);

}  // namespace sockleak
