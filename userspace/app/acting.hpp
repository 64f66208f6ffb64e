// What everything that destroys needs: somebody to ask, time to wait, and the guards.
#pragma once

#include <string>
#include <vector>

#include "act/plan.hpp"
#include "app/destroy_options.hpp"
#include "app/signals.hpp"
#include "base/time.hpp"

namespace sockleak {

/// Waits for a descriptor (-1 = for nothing), or until the user interrupts.
class Patience {
 public:
  explicit Patience(Signals& signals) : signals_(signals) {}

  bool wait(int fd, Duration at_most);
  bool interrupted();

 private:
  Signals& signals_;
  bool interrupted_ = false;
};

/// Whether there is a terminal with somebody to ask.
[[nodiscard]] bool can_ask();

/// True for y or yes on the terminal.
[[nodiscard]] bool agrees(const std::string& question);

/// What protects the sockets that were named.
[[nodiscard]] act::Guards make_guards(const std::vector<act::SocketFacts>& named, const DestroyOptions& options);

}  // namespace sockleak
