// The .slk recording: what a session saw, enough to judge and print it again without root and on another machine.
// Format, checksums and evolution rules: docs/recording-format.md. Never contains user memory.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/counters.hpp"
#include "base/result.hpp"
#include "stack/stack.hpp"

namespace sockleak {

struct RecordedModule {
  std::string name;      // as the process mapped it
  std::string build_id;  // hex, may be empty
};

/// A stack as both the tracker (mapped) and the report (resolved) need it.
struct RecordedStack {
  StackHash hash;        // one record per hash; several hashes may carry equal stacks
  MappedStack mapped;
};

/// Writes a recording; the file appears under its final name only when finish() succeeded (temporary file beside it,
/// mode 0600, then rename), so a failed session leaves no partial file.
class RecordingWriter {
 public:
  static Result<RecordingWriter> create(const std::filesystem::path& path);
  RecordingWriter(RecordingWriter&&) noexcept;
  RecordingWriter& operator=(RecordingWriter&&) noexcept;
  ~RecordingWriter();  // without finish(): removes the temporary file

  Result<void> add_record(std::span<const std::byte> record);
  Result<void> add_stack(StackHash hash, const MappedStack& stack);

  struct Ending {
    std::string session_json;                              // host, target, window, hooks, options: see docs
    std::vector<RecordedModule> modules;                   // index = ModuleId
    std::vector<std::pair<MappedStack, Stack>> resolved;   // every stack the report may ask for
    Counters counters;                                     // the source's losses
  };
  Result<void> finish(const Ending& ending);

 private:
  struct State;
  explicit RecordingWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// A recording in memory, in the order it was written.
struct Recording {
  struct Item {  // either a record or a stack binding
    std::vector<std::byte> record;  // empty = this item is a stack
    RecordedStack stack;
  };
  std::vector<Item> items;
  std::string session_json;  // empty if the file was cut before its end
  std::vector<RecordedModule> modules;  // a frame's ModuleId may lie beyond them in a cut or forged file
  std::vector<std::pair<MappedStack, Stack>> resolved;
  Counters counters;         // recording_cut is set if the file ends in the middle
};

/// Reads as far as the file is whole. An Error only if it is no recording at all, or of an unknown version.
[[nodiscard]] Result<Recording> read_recording(const std::filesystem::path& path);
/// The same from memory (fuzzing, tests).
[[nodiscard]] Result<Recording> parse_recording(std::span<const std::byte> bytes);

}  // namespace sockleak
