// Frames and stacks as lines of text. Everything returned is escaped for terminals.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "stack/stack.hpp"

namespace sockleak {

/// Width on a terminal: code points of valid UTF-8 (East Asian wide characters count as one).
[[nodiscard]] std::size_t columns(std::string_view text);

/// At most `limit` columns, the last one a "…" if something was cut.
[[nodiscard]] std::string clipped(std::string text, std::size_t limit);

/// "db::connect(Url const&)"; "?? libdb.so+0x1a2b" if the function is unknown. Long names are cut unless verbose.
[[nodiscard]] std::string function_text(const Frame& frame, bool verbose);

/// "src/db/pool.cc:88"; without a line the module (verbose: module+offset); empty if function_text says it already.
[[nodiscard]] std::string place_text(const Frame& frame, bool verbose);

/// "db::Pool::put  src/db/pool.cc:203"
[[nodiscard]] std::string frame_line(const Frame& frame, bool verbose);

/// "db::Pool::put (src/db/pool.cc:203)", for use inside a sentence.
[[nodiscard]] std::string frame_phrase(const Frame& frame);

/// The frame at `culprit`, the innermost if there is no such frame, nullptr if there is none at all.
[[nodiscard]] const Frame* culprit_of(const Stack& stack, std::size_t culprit);

/// What would give names to the code that a runtime made, if the stack has such code without one; else empty.
[[nodiscard]] std::string names_hint(const Stack& stack);

/// The stack from its culprit outwards, at most kBriefFrames and without start-up code; verbose: all of it.
/// One indented line per frame, and what was left out or could not be walked.
[[nodiscard]] std::string stack_lines(const Stack& stack, std::size_t culprit, bool verbose);

}  // namespace sockleak
