#include "app/acting.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "act/orphan_trial.hpp"
#include "act/own.hpp"
#include "base/log.hpp"

namespace sockleak {

bool Patience::wait(int fd, Duration at_most) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + at_most;
  while (!interrupted()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
    pollfd watched[] = {{signals_.descriptor(), POLLIN, 0}, {fd, POLLIN, 0}};
    ::poll(watched, 2, left.count() > 0 ? static_cast<int>(std::min<std::int64_t>(left.count(), 60'000)) : 0);
    if (watched[1].revents != 0) return true;
    if (Clock::now() >= end) return false;
  }
  return false;
}

bool Patience::interrupted() {
  interrupted_ = interrupted_ || signals_.next().has_value();
  return interrupted_;
}

bool can_ask() {
  return ::isatty(STDIN_FILENO) == 1;
}

bool agrees(const std::string& question) {
  std::fprintf(stderr, "%s [y/N] ", question.c_str());
  std::fflush(stderr);
  std::string answer;
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) == 1 && byte != '\n') answer += byte;
  return answer == "y" || answer == "yes";
}

act::Guards make_guards(const std::vector<act::SocketFacts>& named, const DestroyOptions& options) {
  act::Guards guards;
  guards.method = options.shutdown ? act::Method::kShutdown : act::Method::kDestroy;
  guards.even_mine = options.even_mine;
  guards.stops_holders = options.stop_process;
  const act::Own own = act::find_own("/proc", Pid{static_cast<std::uint32_t>(::getpid())});
  guards.own = own.processes;
  guards.login = own.login;
  const auto orphan = [](const act::SocketFacts& socket) { return socket.cause == Cause::kOrphan; };
  if (!options.shutdown && std::any_of(named.begin(), named.end(), orphan)) {
    const auto tried = act::orphans_die();
    if (tried) guards.orphans_die = *tried;
    if (!tried) log::info("orphan test: " + tried.error().message());
  }
  return guards;
}

}  // namespace sockleak
