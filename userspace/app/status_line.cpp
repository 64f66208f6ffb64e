#include "app/status_line.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "base/log.hpp"
#include "base/text.hpp"

namespace sockleak {
namespace {

constexpr std::size_t kCountable = 50'000;  // open sockets that can be looked at four times a second

void put(const std::string& text) {
  // Nothing depends on it: a terminal that refuses it shows no status.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

void erase_line() {
  put("\r\x1b[K");
}

[[nodiscard]] std::size_t terminal_width() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

StatusLine::StatusLine(bool wanted, Duration older) : active_(wanted && ::isatty(STDERR_FILENO) == 1), older_(older) {
  if (active_) log::before_line(erase_line);
}

StatusLine::~StatusLine() {
  erase();
  if (active_) log::before_line(nullptr);
}

void StatusLine::erase() {
  if (visible_) erase_line();
  visible_ = false;
}

bool StatusLine::due(Duration now) {
  if (!active_) return false;
  if (started_ < Duration::zero()) started_ = now;
  if (last_ >= Duration::zero() && now - last_ < kEvery) return false;
  last_ = now;
  return true;
}

/// Sockets whose peer has closed and that nobody has closed since: what the final snapshot may confirm as leaked.
std::uint64_t StatusLine::suspects(const Tracker& tracker) const {
  std::uint64_t count = 0;
  for (const auto& [id, socket] : tracker.sockets()) {
    if (socket.close_wait_since && !socket.unaccepted && tracker.now() - *socket.close_wait_since >= older_) ++count;
  }
  return count;
}

void StatusLine::show(const Tracker& tracker, std::uint64_t events_lost) {
  const std::size_t open = tracker.sockets().size();
  std::string line = "sockleak: ";
  line += count_text(tracker.totals().created) + " created, " + count_text(open) + " open";
  if (open <= kCountable) line += ", " + count_text(suspects(tracker)) + " suspect";
  if (events_lost != 0) line += ", " + count_text(events_lost) + " events lost";
  const auto elapsed = std::chrono::floor<std::chrono::seconds>(last_ - started_);
  line += ", " + std::to_string(elapsed.count()) + " s (Ctrl-C: report)";
  line.resize(std::min(line.size(), terminal_width() - 1));
  put("\r" + line + "\x1b[K");
  visible_ = true;
}

}  // namespace sockleak
