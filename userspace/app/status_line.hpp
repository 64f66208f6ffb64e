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

  /// Four times a second, if it is shown at all; `now` is any clock that does not go back.
  [[nodiscard]] bool due(Duration now);
  void show(const Tracker& tracker, std::uint64_t events_lost);
  void erase();

 private:
  static constexpr Duration kEvery = std::chrono::milliseconds(250);
  [[nodiscard]] std::uint64_t suspects(const Tracker& tracker) const;

  bool active_;
  Duration older_;
  bool visible_ = false;
  Duration started_{-1};
  Duration last_{-1};
};

}  // namespace sockleak
