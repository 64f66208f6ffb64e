// Which sockets the user means: `ss`'s filter language plus what only sockleak knows (holders, cause, age). Parsed
// once, evaluated over a plain struct, so that scan and destroy mean the same sockets by the same words. Grammar and
// meaning: docs/sockleak.8, "FILTERS".
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "event/event.hpp"

namespace sockleak {

/// Whoever keeps a socket open, as far as filters ask. Borrowed from the caller's own record of the socket.
struct FilterHolder {
  Pid pid;
  Pid tid;
  std::string_view comm;
  std::string_view cgroup;  // "/system.slice/x.service"; empty = unknown
};

/// One socket as a filter sees it. What is not known stays empty: a filter never matches by ignorance.
struct FilterSubject {
  SocketId socket;
  std::uint64_t inode = 0;
  Protocol protocol = Protocol::kNone;
  TcpState state = TcpState::kUnknown;
  Addresses addresses;
  std::optional<NetnsId> netns;
  std::optional<Duration> at_least_old;  // the kernel keeps no birth time: silence bounds the age from below,
  std::optional<Duration> at_most_old;   // an earlier snapshot without the socket from above
  std::optional<bool> ownerless;         // empty = not everybody's descriptors could be read
  std::string_view cause;                // "accept-queue" …; empty = none
  std::vector<FilterHolder> holders;
  bool holders_known = true;             // false = there may be holders that could not be seen
};

struct FilterNode;

class Filter {
 public:
  Filter();  // matches everything
  Filter(Filter&&) noexcept;
  Filter& operator=(Filter&&) noexcept;
  ~Filter();

  /// Usage error with the offending word if it cannot be understood. Empty text matches everything.
  [[nodiscard]] static Result<Filter> parse(std::string_view text);

  /// False unless what is known proves that the socket is meant ("not age > 10s" needs a known age, too).
  [[nodiscard]] bool matches(const FilterSubject& subject) const;

  /// Whether the filter names anything at all: destroy insists on it.
  [[nodiscard]] bool is_empty() const { return root_ == nullptr; }

  /// Whether the text uses a word (`state`, `ownerless`, …), for defaults that step back when the user is explicit.
  [[nodiscard]] bool mentions(std::string_view word) const;

 private:
  std::unique_ptr<FilterNode> root_;
};

}  // namespace sockleak
