// The words that reports use for stacks.
#include "stack/stack.hpp"

namespace sockleak {

const char* why_short(WalkEnd end) {
  switch (end) {
    case WalkEnd::kNone:
      return "no stack was taken";
    case WalkEnd::kComplete:
      return "";
    case WalkEnd::kMissingRule:
      return "no unwind information";
    case WalkEnd::kDepth:
      return "the depth limit was reached";
    case WalkEnd::kReadFailed:
      return "user memory was not readable";
    case WalkEnd::kInsane:
      return "the next frame made no sense";
    case WalkEnd::kContended:
      return "the walk was interrupted by another task";
    case WalkEnd::kNoUserStack:
      return "there was no user stack";
    case WalkEnd::kNoSpace:
      return "the stack ring was full";
  }
  return "the walk ended in a way this version does not know";
}

const char* why_unnamed(NameGap gap) {
  switch (gap) {
    case NameGap::kNone:
      break;
    case NameGap::kNoFile:
      return "the code is in no file";
    case NameGap::kUnreadable:
      return "its file could not be read";
    case NameGap::kChanged:
      return "its file has changed since";
    case NameGap::kNoSymbol:
      return "no symbol and no debug information found";
    case NameGap::kNoLine:
      return "no debug information found";
    case NameGap::kNoMap:
      return "no perf map names it";
    case NameGap::kNoCode:
      return "its code object could not be read";
  }
  return "";
}

const char* to_string(FrameKind kind) {
  switch (kind) {
    case FrameKind::kNative:
      return "native";
    case FrameKind::kGo:
      return "go";
    case FrameKind::kPython:
      return "python";
    case FrameKind::kJava:
      return "java";
    case FrameKind::kNode:
      return "node";
    case FrameKind::kKernel:
      return "kernel";
  }
  return "native";
}

}  // namespace sockleak
