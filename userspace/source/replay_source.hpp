// A recording as a source: the items in the order they were seen, as fast as the sink takes them.
#pragma once

#include <cstddef>

#include "event/recording.hpp"
#include "source/event_source.hpp"

namespace sockleak {

class ReplaySource final : public EventSource {
 public:
  static constexpr std::size_t kBatch = 4096;  // items per poll, so that the caller's loop stays responsive

  /// `recording` must outlive the source.
  explicit ReplaySource(const Recording& recording) : recording_(recording) {}

  /// Never waits. kDelivered as long as there was an item, then kEnd.
  Result<Progress> poll(RecordSink& sink, Duration timeout) override;
  /// The snapshots are in the stream.
  Result<void> snapshot(RecordSink& sink) override;
  [[nodiscard]] Counters losses() override { return recording_.counters; }

 private:
  const Recording& recording_;
  std::size_t next_ = 0;
};

}  // namespace sockleak
