// Where records come from: the live kernel, a recording, or a test. Everything after it is deterministic.
#pragma once

#include <cstddef>
#include <span>

#include "base/counters.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "stack/stack.hpp"

namespace sockleak {

/// Receives what a source delivers. Called from EventSource::poll and ::snapshot only, on the caller's thread.
class RecordSink {
 public:
  virtual ~RecordSink() = default;
  /// One wire record (bpf/abi/wire.h), never a stack record; valid during the call only.
  virtual void on_record(std::span<const std::byte> record) = 0;
  /// `hash` in later (or this call's) records means this stack. Delivered before the first record that uses it.
  virtual void on_stack(StackHash hash, const MappedStack& stack) = 0;
};

enum class Progress { kDelivered, kIdle, kEnd };

class EventSource {
 public:
  virtual ~EventSource() = default;

  /// Delivers what is there, waiting up to `timeout` for something. kEnd: nothing will ever come again.
  virtual Result<Progress> poll(RecordSink& sink, Duration timeout) = 0;

  /// Delivers SL_SNAPSHOT_BEGIN, every tracked socket and holder, SL_SNAPSHOT_END. A replay has its snapshots in
  /// the stream and does nothing here.
  virtual Result<void> snapshot(RecordSink& sink) = 0;

  /// Everything lost up to now. Monotonic.
  [[nodiscard]] virtual Counters losses() = 0;
};

}  // namespace sockleak
