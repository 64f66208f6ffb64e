// What would be done with each named socket, and why. Pure: sockets and guards in, plan out; nothing is touched.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "act/socket_facts.hpp"

namespace sockleak::act {

enum class Method : std::uint8_t {
  kDestroy,   // SOCK_DESTROY: the connection is reset
  kShutdown,  // shutdown(SHUT_RDWR) on the holder's own file: the connection ends in order
};

/// What must stay untouched although a filter names it.
struct Guards {
  Method method = Method::kDestroy;
  std::vector<Pid> own;          // sockleak, and the processes it was started from
  std::vector<Addresses> login;  // connections these were logged in through
  bool even_mine = false;
  bool stops_holders = false;    // they are ended first, and their sockets with them
  std::string named_by = "the filter names it";            // why a held one is meant
  std::function<std::string(const SocketFacts&)> refuses;  // a further reason to refuse, empty = none; may be unset
  std::optional<bool> orphans_die;  // whether this kernel lets a destroyed orphan go; empty = not known
};

struct Step {
  SocketFacts socket;
  bool allowed = false;
  std::string why;         // it is allowed, or refused
  std::string owner_sees;  // empty = nobody
  std::string stays;       // what is not cured by it; empty = nothing
};

struct Plan {
  Method method = Method::kDestroy;
  std::vector<Step> steps;  // allowed ones first, then as listed
  [[nodiscard]] std::size_t allowed() const;
};

[[nodiscard]] Plan make_plan(std::vector<SocketFacts> named, const Guards& guards);

}  // namespace sockleak::act
