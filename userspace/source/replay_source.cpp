// Delivers a recording's items; nothing is decoded or judged here.
#include "source/replay_source.hpp"

#include <algorithm>

namespace sockleak {

Result<Progress> ReplaySource::poll(RecordSink& sink, Duration /*timeout*/) {
  if (next_ >= recording_.items.size()) return Progress::kEnd;
  const std::size_t end = std::min(next_ + kBatch, recording_.items.size());
  for (; next_ < end; ++next_) {
    const Recording::Item& item = recording_.items[next_];
    if (item.record.empty()) {
      sink.on_stack(item.stack.hash, item.stack.mapped);
    } else {
      sink.on_record(item.record);
    }
  }
  return Progress::kDelivered;
}

Result<void> ReplaySource::snapshot(RecordSink& /*sink*/) {
  return {};
}

}  // namespace sockleak
