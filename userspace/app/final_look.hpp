// The look beyond descriptors that ends a live session: io_uring slots, messages in flight, mappings, stuck exits.
// `sockleak scan`'s collector, so that both commands give the same causes.
#pragma once

#include <vector>

#include "report/report.hpp"
#include "scan/kernel_walk.hpp"
#include "source/event_source.hpp"
#include "track/tracker.hpp"

namespace sockleak {

class FinalLook {
 public:
  static Result<FinalLook> open();

  /// Looks, the second time for confirmation. Costs what a scan of the machine costs.
  Result<void> take(const Tracker& tracker);
  /// Sockets that seem to be closing: better look again, kSecondLook later.
  [[nodiscard]] const std::vector<SocketId>& doubts() const { return doubts_; }
  /// True if there are places where it could not look.
  [[nodiscard]] bool has_gaps() const { return !look_.gaps.empty(); }
  [[nodiscard]] std::vector<ReportPortUse> ports(const Tracker& tracker) const;
  /// As records.
  void tell(const Tracker& tracker, RecordSink& sink) const;

 private:
  explicit FinalLook(KernelWalk walk) : walk_(std::move(walk)) {}

  KernelWalk walk_;
  bool taken_ = false;
  Snapshot look_;
  std::vector<SocketId> doubts_;
};

}  // namespace sockleak
