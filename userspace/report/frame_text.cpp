// How one frame reads, and how a stack is laid out in two columns.
#include "report/frame_text.hpp"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <span>

#include "base/text.hpp"

namespace sockleak {
namespace {

constexpr std::size_t kBriefFrames = 8;
constexpr std::size_t kBriefFunction = 76;   // leaves room for a file and a line in 120 columns
constexpr std::size_t kFunctionColumn = 52;  // wider names push their own file to the right, not everybody's
constexpr std::string_view kFrameIndent = "    ";

/// What runs before main or a thread's function: the same in every program, so it tells nothing about this one.
constexpr std::array<std::string_view, 9> kStartup{
    "_start",
    "__libc_start_main",
    "__libc_start_main_impl",
    "__libc_start_call_main",
    "start_thread",
    "clone",
    "__clone",
    "clone3",
    "__clone3",
};

[[nodiscard]] bool is_startup(const Frame& frame) {
  const std::string_view name = std::string_view(frame.function).substr(0, frame.function.find('@'));
  return std::find(kStartup.begin(), kStartup.end(), name) != kStartup.end();
}

[[nodiscard]] std::string hex(std::uint64_t value) {
  std::array<char, 24> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "0x%" PRIx64, value);
  return buffer.data();
}

[[nodiscard]] std::string module_name(const Frame& frame, bool verbose) {
  if (verbose) return escape_terminal(frame.module);
  return escape_terminal(std::string_view(frame.module).substr(frame.module.rfind('/') + 1));
}

[[nodiscard]] std::string module_offset(const Frame& frame, bool verbose) {
  return frame.module.empty() ? hex(frame.offset) : module_name(frame, verbose) + '+' + hex(frame.offset);
}

[[nodiscard]] bool continues_character(char c) {
  return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
}

[[nodiscard]] bool is_unnamed_jit(const Frame& frame) {
  return frame.function.empty() && (frame.kind == FrameKind::kJava || frame.kind == FrameKind::kNode);
}

}  // namespace

std::string names_hint(const Stack& stack) {
  for (const Frame& frame : stack.frames) {
    // Before V8 compiles a function, all of its kind run in this one.
    const bool node = frame.kind == FrameKind::kNode || frame.function == "Builtins_InterpreterEntryTrampoline";
    if (node && (is_unnamed_jit(frame) || frame.kind == FrameKind::kNative)) {
      return "JavaScript functions are named with `node --perf-basic-prof --interpreted-frames-native-stack`";
    }
  }
  return {};
}

std::size_t columns(std::string_view text) {
  return text.size() - static_cast<std::size_t>(std::count_if(text.begin(), text.end(), continues_character));
}

std::string clipped(std::string text, std::size_t limit) {
  if (columns(text) <= limit) return text;
  std::size_t end = 0;
  for (std::size_t kept = 0; end < text.size(); ++end) {
    if (!continues_character(text[end]) && ++kept == limit) break;
  }
  text.resize(end);
  return text + "…";
}

std::string function_text(const Frame& frame, bool verbose) {
  if (is_unnamed_jit(frame)) return frame.kind == FrameKind::kJava ? "?? Java code" : "?? JavaScript code";
  if (frame.function.empty()) return "?? " + module_offset(frame, verbose);
  std::string name = escape_terminal(frame.function);
  return verbose ? name : clipped(std::move(name), kBriefFunction);
}

std::string place_text(const Frame& frame, bool verbose) {
  if (!frame.file.empty()) {
    return escape_terminal(frame.file) + (frame.line == 0 ? "" : ':' + std::to_string(frame.line));
  }
  if (frame.function.empty() || (frame.module.empty() && frame.offset == 0)) return {};
  return verbose ? module_offset(frame, verbose) : module_name(frame, verbose);
}

std::string frame_line(const Frame& frame, bool verbose) {
  const std::string place = place_text(frame, verbose);
  return function_text(frame, verbose) + (place.empty() ? "" : "  " + place);
}

std::string frame_phrase(const Frame& frame) {
  const std::string place = place_text(frame, false);
  return function_text(frame, false) + (place.empty() ? "" : " (" + place + ')');
}

const Frame* culprit_of(const Stack& stack, std::size_t culprit) {
  if (stack.frames.empty()) return nullptr;
  return &stack.frames[culprit < stack.frames.size() ? culprit : 0];
}

std::string stack_lines(const Stack& stack, std::size_t culprit, bool verbose) {
  std::span<const Frame> frames = stack.frames;
  if (!verbose) {
    if (culprit < frames.size()) frames = frames.subspan(culprit);
    while (frames.size() > 1 && is_startup(frames.back())) frames = frames.first(frames.size() - 1);
  }
  const std::size_t shown = verbose ? frames.size() : std::min(frames.size(), kBriefFrames);
  const std::size_t hidden = frames.size() - shown;
  frames = frames.first(shown);

  std::size_t width = 0;
  for (const Frame& frame : frames) {
    const std::size_t wanted = columns(function_text(frame, verbose));
    if (wanted <= kFunctionColumn) width = std::max(width, wanted);
  }
  std::string out;
  for (const Frame& frame : frames) {
    const std::string function = function_text(frame, verbose);
    const std::string place = place_text(frame, verbose);
    out.append(kFrameIndent).append(function);
    if (!place.empty()) {
      const std::size_t used = columns(function);
      out.append(used < width ? width - used : 0, ' ').append("  ").append(place);
    }
    if (frame.inlined) out += "   (inlined)";
    if (frame.function.empty() && frame.gap != NameGap::kNone) out.append("   (").append(why_unnamed(frame.gap)) += ')';
    out += '\n';
  }
  if (hidden != 0) {
    out.append(kFrameIndent) += "… " + std::to_string(hidden) + (hidden == 1 ? " more frame\n" : " more frames\n");
  }
  if (stack.truncated) {
    out.append(kFrameIndent) += "… stack ends here: " + escape_terminal(stack.why) + '\n';
  } else if (stack.frames.empty()) {
    out.append(kFrameIndent) += "… no stack was taken\n";
  }
  return out;
}

}  // namespace sockleak
