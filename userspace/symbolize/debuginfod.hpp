// Servers of debug files. libdwfl asks them by itself whenever DEBUGINFOD_URLS is set, and libdebuginfod reads that variable
// and its limits at each query; there is no call to say no (elfutils 0.188, libdwfl/find-debuginfo.c and
// debuginfod/debuginfod-client.c).
#pragma once

#include <chrono>
#include <concepts>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sockleak {

class Debuginfod {
 public:
  explicit Debuginfod(bool wanted) : asks_(wanted) {}

  /// Runs libdwfl's search for one file, which returns -1 if there is none. The servers are asked if that is wanted and
  /// they have answered so far: a report does not wait for a dead one at each module anew.
  template <std::invocable Search>
  int search(Search search) {
    const Environment environment(asks_);
    const auto begin = std::chrono::steady_clock::now();
    const int found = search();
    if (asks_ && found < 0 && std::chrono::steady_clock::now() - begin >= kSilence) give_up();
    return found;
  }

 private:
  static constexpr std::chrono::seconds kSilence{5};  // who says no does it at once

  /// The variables of one query, put back afterwards.
  class Environment {
   public:
    explicit Environment(bool asks);
    ~Environment();
    Environment(const Environment&) = delete;
    Environment& operator=(const Environment&) = delete;

   private:
    void set(const char* name, const char* value);
    std::vector<std::pair<const char*, std::optional<std::string>>> before_;
  };
  void give_up();

  bool asks_;
};

}  // namespace sockleak
