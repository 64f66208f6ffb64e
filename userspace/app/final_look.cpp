#include "app/final_look.hpp"

#include <chrono>
#include <utility>

#include "app/holder_records.hpp"
#include "app/port_use.hpp"
#include "scan/cause.hpp"

namespace sockleak {

Result<FinalLook> FinalLook::open() {
  auto walk = KernelWalk::open();
  if (!walk) return tl::unexpected(walk.error());
  return FinalLook(std::move(*walk));
}

Result<void> FinalLook::take(const Tracker& tracker) {
  auto look = walk_.take([](const char*, std::uint64_t) {});
  if (!look) return tl::unexpected(look.error());
  if (taken_) distrust_unrepeated(*look, look_);
  taken_ = true;
  look_ = std::move(*look);
  doubts_ = doubtful_sockets(look_, tracker);
  return {};
}

std::vector<ReportPortUse> FinalLook::ports(const Tracker& tracker) const { return port_use(look_, tracker); }

void FinalLook::tell(const Tracker& tracker, RecordSink& sink) const {
  const Duration now = std::chrono::steady_clock::now().time_since_epoch();  // CLOCK_MONOTONIC
  tell_holders(look_, tracker, KernelTime{static_cast<std::uint64_t>(now.count())}, sink);
}

}  // namespace sockleak
