// How an operation that depends on the environment fails: Result<T> carries an Error up to main(), which prints
// one line with its hint and ends with the documented exit status. Data defects are not errors: see counters.hpp.
#pragma once

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace sockleak {

enum class ErrorKind {
  kUsage,        // the user asked for something that cannot be meant: exit status 2
  kCannotTrace,  // privilege or kernel: exit status 3
  kInput,        // an input file cannot be used: exit status 2
  kOutput,       // the report or recording cannot be written: exit status 3
};

struct Error {
  ErrorKind kind = ErrorKind::kCannotTrace;
  std::string what;     // one line, no full stop: "cannot open run.slk"
  int os_errno = 0;     // 0 = not from the operating system
  std::string hint;     // how the user mends it; may be empty

  /// "what: strerror" on one line.
  [[nodiscard]] std::string message() const {
    return os_errno == 0 ? what : what + ": " + std::strerror(os_errno);
  }
};

template <typename T>
using Result = tl::expected<T, Error>;

[[nodiscard]] inline tl::unexpected<Error> fail(ErrorKind kind, std::string what, std::string hint = {}) {
  return tl::unexpected<Error>(Error{kind, std::move(what), 0, std::move(hint)});
}

/// What mends an operating-system error when the caller knows nothing better.
[[nodiscard]] inline const char* usual_hint(int os_errno) {
  switch (os_errno) {
    case ENOENT: case ENOTDIR: return "check the path";
    case EACCES: case EPERM: return "check the permissions, or run as root";
    case EISDIR: return "name a file, not a directory";
    case ENOSPC: case EDQUOT: return "make room on the disk";
    case EROFS: return "choose a place that can be written";
    case EMFILE: case ENFILE: return "raise the limit of open files (ulimit -n)";
    case ENOMEM: return "free some memory";
    default: return "";
  }
}

/// Captures errno (or the given one) together with what was attempted.
[[nodiscard]] inline tl::unexpected<Error> fail_os(ErrorKind kind, std::string what, std::string hint = {},
                                                   int os_errno = errno) {
  if (hint.empty()) hint = usual_hint(os_errno);
  return tl::unexpected<Error>(Error{kind, std::move(what), os_errno, std::move(hint)});
}

}  // namespace sockleak
