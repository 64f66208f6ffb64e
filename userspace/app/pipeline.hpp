// From records to the model: decodes what a source delivers, applies it to the tracker, binds the stacks, and writes
// both to a recording if there is one. Live and replay go through the same.
#pragma once

#include <optional>

#include "app/process_names.hpp"
#include "event/recording.hpp"
#include "source/event_source.hpp"
#include "stack/stack_store.hpp"
#include "symbolize/symbolizer.hpp"
#include "track/tracker.hpp"

namespace sockleak {

class Pipeline final : public RecordSink {
 public:
  explicit Pipeline(const TrackerOptions& options) : tracker_(stacks_, options) {}
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  void record_to(RecordingWriter writer) { writer_.emplace(std::move(writer)); }
  void name_processes(ProcessNames names) { names_ = std::move(names); }

  void on_record(std::span<const std::byte> record) override;
  void on_stack(StackHash hash, const MappedStack& stack) override;

  [[nodiscard]] const Tracker& tracker() const { return tracker_; }
  [[nodiscard]] const StackStore& stacks() const { return stacks_; }
  [[nodiscard]] ProcessNames& names() { return names_; }
  [[nodiscard]] const ProcessNames& names() const { return names_; }
  /// What could not be decoded, and what the tracker missed.
  [[nodiscard]] Counters counters() const;

  /// The first failure to write the recording; nothing is written after it.
  [[nodiscard]] Result<void> recording() const;
  /// Gives the recording its end and its name: every stack resolved. Nothing if there is none.
  [[nodiscard]] Result<void> finish_recording(const std::string& session_json, const Counters& losses,
                                              const ModuleStore& modules, Symbolizer& symbolizer);

 private:
  void keep(const Result<void>& written);

  StackStore stacks_;
  Tracker tracker_;
  ProcessNames names_;
  Counters defects_;
  std::optional<RecordingWriter> writer_;
  std::optional<Error> broken_;
};

/// All that a source has, until it is idle or ends. For sources that end: a live one may never be idle.
[[nodiscard]] Result<void> drain(EventSource& source, Pipeline& pipeline);

}  // namespace sockleak
