#include "process/wakers.hpp"

#include <time.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <string_view>

#include "abi/config.h"

namespace sockleak {
namespace {

// Indices as config.h has them, by kind.
constexpr std::array<std::string_view, SL_WAKERS> kWakers{
    "ep_poll_callback",          // epoll
    "pollwake",                  // poll() and select()
    "io_poll_wake",              // io_uring: a request that waits, or one for poll
    "io_poll_double_wake",       // its second queue, before 5.19
    "io_async_wake",             // a request that waits, before 5.18
    "woken_wake_function",       // a thread in recv(), send() or connect()
    "autoremove_wake_function",  // in accept(), or in recv() on a unix socket
    "receiver_wake_function",    // in recv() on a socket of datagrams
    "default_wake_function",     // in what waits the old way
};

/// Compilers put suffixes to what they have changed; a part of a function is not where it begins.
[[nodiscard]] bool is_name(std::string_view symbol, std::string_view name) {
  if (!symbol.starts_with(name)) return false;
  const std::string_view suffix = symbol.substr(name.size());
  return suffix.empty() || (suffix.front() == '.' && !suffix.starts_with(".cold") && !suffix.starts_with(".part"));
}

}  // namespace

void find_wakers(std::span<unsigned long long> wakers, const std::string& symbols) {
  std::ifstream file;
  std::array<char, std::size_t{256} * 1024> buffer;  // the file is made as it is read
  file.rdbuf()->pubsetbuf(buffer.data(), buffer.size());
  file.open(symbols);
  std::string line;
  // Address, type, name; of a module also its name in brackets.
  while (std::getline(file, line)) {
    const std::size_t space = line.find(' ');
    if (space == std::string::npos || space + 3 > line.size()) continue;
    const std::string_view symbol = std::string_view(line).substr(space + 3);
    if (symbol.find('\t') != std::string_view::npos) break;  // modules are last, and have none of them
    for (std::size_t i = 0; i < std::min(kWakers.size(), wakers.size()); ++i) {
      if (!is_name(symbol, kWakers[i])) continue;
      std::uint64_t address = 0;
      std::from_chars(line.data(), line.data() + space, address, 16);
      if (wakers[i] == 0) wakers[i] = address;
    }
  }
}

std::uint32_t tick_ns() {
  timespec resolution{};
  if (clock_getres(CLOCK_MONOTONIC_COARSE, &resolution) != 0) return 0;
  return static_cast<std::uint32_t>(resolution.tv_nsec);
}

}  // namespace sockleak
