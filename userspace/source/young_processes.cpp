#include "source/young_processes.hpp"

#include <sys/timerfd.h>
#include <unistd.h>

namespace sockleak {
namespace {

constexpr std::int64_t kFirst = 1, kLast = 64;  // ms
constexpr std::int64_t kNsPerMs = 1'000'000;

}  // namespace

bool YoungProcesses::open() {
  timer_.reset(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  return timer_.valid();
}

void YoungProcesses::watch(Pid pid, AddressSpaceId asid) {
  young_[pid] = asid;
  delay_ms_ = kFirst;
  arm();
}

std::vector<std::pair<Pid, AddressSpaceId>> YoungProcesses::due() {
  std::uint64_t expirations = 0;
  if (::read(timer_.get(), &expirations, sizeof(expirations)) != sizeof(expirations)) return {};
  std::vector<std::pair<Pid, AddressSpaceId>> all(young_.begin(), young_.end());
  delay_ms_ = delay_ms_ < kLast ? delay_ms_ * 2 : 0;
  if (delay_ms_ == 0) young_.clear();
  arm();
  return all;
}

/// A delay of 0 disarms it.
void YoungProcesses::arm() const {
  const itimerspec when{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_nsec = delay_ms_ * kNsPerMs}};
  ::timerfd_settime(timer_.get(), 0, &when, nullptr);
}

}  // namespace sockleak
