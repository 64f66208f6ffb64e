// Ctrl-C and friends as a descriptor: the first one ends the session with its report, a second Ctrl-C ends the process.
#pragma once

#include <signal.h>

#include <optional>

#include "base/handle.hpp"
#include "base/result.hpp"

namespace sockleak {

class Signals {
 public:
  /// From now on SIGINT, SIGTERM and SIGHUP are read here, and SIGPIPE is an error of write(). Start no process after
  /// it.
  static Result<Signals> take_over();
  Signals(Signals&&) noexcept;
  Signals& operator=(Signals&&) = delete;
  ~Signals();  // the former mask and dispositions

  struct Request {
    int number = 0;
    /// Only we got it (kill), not the whole foreground process group (a terminal).
    bool ours_alone = false;
  };
  /// Readable when there is a request.
  [[nodiscard]] int descriptor() const { return fd_.get(); }
  /// After the first one, a SIGINT ends this process at once with status 130, wherever it is.
  std::optional<Request> next();

 private:
  Signals(UniqueFd fd, const sigset_t& former) : fd_(std::move(fd)), former_(former) {}
  UniqueFd fd_;
  sigset_t former_;
};

}  // namespace sockleak
