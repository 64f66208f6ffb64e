// The names that a just-in-time compiler writes to /tmp/perf-PID.map: one line "START SIZE NAME" per piece of code, numbers
// in hex with or without 0x, the name to the end of the line. Anybody may have written anything there.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "stack/stack.hpp"

namespace sockleak {

class PerfMap {
 public:
  static constexpr std::size_t kMaxEntries = 1u << 19;
  static constexpr std::size_t kMaxName = 1024;  // longer ones are cut

  /// Adds what the text says; lines that make no sense are counted and left out. Later lines replace earlier ones that
  /// begin at the same address.
  void read(std::string_view text);
  /// The name of the code at `address`; empty = none.
  [[nodiscard]] std::string_view find(std::uint64_t address) const;
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] std::uint64_t malformed() const { return malformed_; }

 private:
  struct Code {
    std::uint64_t size = 0;
    std::string name;
  };
  std::map<std::uint64_t, Code> entries_;
  std::uint64_t malformed_ = 0;
};

/// A frame from such a name, for code of `kind`. V8 writes "JS:*fetch /srv/app.js:12:3", where the mark is the compiler
/// and the line is where the function begins.
[[nodiscard]] Frame jit_frame(FrameKind kind, std::string_view name);

}  // namespace sockleak
