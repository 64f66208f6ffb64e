// Processes that have just executed a program: the loader maps its libraries within the next milliseconds, and who must
// know of one of them before the program uses it (an interpreter in a shared library) has to look again soon.
#pragma once

#include <map>
#include <vector>

#include "base/handle.hpp"
#include "base/ids.hpp"

namespace sockleak {

class YoungProcesses {
 public:
  bool open();
  /// Readable when due() has something.
  [[nodiscard]] int descriptor() const { return timer_.get(); }

  void watch(Pid pid, AddressSpaceId asid);
  /// The young processes, if it is time to look at them; 1, 2, 4 ... 64 ms after the last exec, then they are forgotten.
  [[nodiscard]] std::vector<std::pair<Pid, AddressSpaceId>> due();

 private:
  void arm() const;

  UniqueFd timer_;
  std::map<Pid, AddressSpaceId> young_;
  std::int64_t delay_ms_ = 0;  // 0 = not armed
};

}  // namespace sockleak
