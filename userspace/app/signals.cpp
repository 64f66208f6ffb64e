#include "app/signals.hpp"

#include <sys/signalfd.h>
#include <unistd.h>

namespace sockleak {
namespace {

constexpr int kInterruptedTwice = 130;

void end_at_once(int) {
  ::_exit(kInterruptedTwice);
}

}  // namespace

Result<Signals> Signals::take_over() {
  sigset_t wanted, former;
  sigemptyset(&wanted);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&wanted, number);
  if (::sigprocmask(SIG_BLOCK, &wanted, &former) != 0) return fail_os(ErrorKind::kCannotTrace, "cannot block signals");
  UniqueFd fd(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.valid()) return fail_os(ErrorKind::kCannotTrace, "cannot read signals");
  ::signal(SIGPIPE, SIG_IGN);
  return Signals(std::move(fd), former);
}

Signals::Signals(Signals&&) noexcept = default;

Signals::~Signals() {
  if (!fd_.valid()) return;
  ::signal(SIGPIPE, SIG_DFL);
  ::sigprocmask(SIG_SETMASK, &former_, nullptr);
}

std::optional<Signals::Request> Signals::next() {
  signalfd_siginfo info{};
  if (::read(fd_.get(), &info, sizeof(info)) != sizeof(info)) return std::nullopt;
  // From here on Ctrl-C must work while nobody reads the descriptor: during symbolization, or a write that blocks.
  struct sigaction action {};
  action.sa_handler = end_at_once;
  ::sigaction(SIGINT, &action, nullptr);
  sigset_t interrupt;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  ::sigprocmask(SIG_UNBLOCK, &interrupt, nullptr);
  return Request{static_cast<int>(info.ssi_signo), info.ssi_code == SI_USER};
}

}  // namespace sockleak
