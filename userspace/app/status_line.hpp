// One line on a terminal's stderr that tells how far a session is; anything else that is printed erases it first.
#pragma once

#include <cstdint>

#include "base/time.hpp"
#include "track/tracker.hpp"

namespace sockleak {

class StatusLine {
 public:
  /// Shows nothing unless stderr is a terminal and `wanted`.
  StatusLine(bool wanted, Duration older);
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;
  ~StatusLine();

  /// At most kPerSecond times a second; `now` is any clock that does not go back.
  void show(const Tracker& tracker, std::uint64_t events_lost, Duration now);
  void erase();

 private:
  static constexpr Duration kEvery = std::chrono::milliseconds(250);
  [[nodiscard]] bool due(Duration now);
  [[nodiscard]] std::uint64_t suspects(const Tracker& tracker);

  bool active_;
  Duration older_;
  Duration started_{-1};
  Duration shown_{-1};
};

}  // namespace sockleak
