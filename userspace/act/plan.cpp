// The rules: design.md section 10; the effects were measured, kernel.md section 4.2.
#include "act/plan.hpp"

#include <algorithm>

namespace sockleak::act {
namespace {

[[nodiscard]] bool is_mine(const SocketFacts& socket, const Guards& guards) {
  const auto own = [&](const SocketHolder& holder) {
    return std::find(guards.own.begin(), guards.own.end(), holder.pid) != guards.own.end();
  };
  if (std::any_of(socket.holders.begin(), socket.holders.end(), own)) return true;
  return std::any_of(guards.login.begin(), guards.login.end(), [&](const Addresses& login) {
    // Either end of it may be on this machine.
    return (login.local == socket.addresses.local && login.remote == socket.addresses.remote) ||
           (login.local == socket.addresses.remote && login.remote == socket.addresses.local);
  });
}

/// Whatever it is, it goes with its process.
[[nodiscard]] bool ends_with_holder(const SocketFacts& socket, const Guards& guards) {
  return guards.stops_holders && is_held(socket) &&
         std::none_of(socket.holders.begin(), socket.holders.end(),
                      [](const SocketHolder& holder) { return holder.pid.value == 1; });
}

/// Refused because of why it is there; empty = it is not.
[[nodiscard]] std::string cause_refusal(const SocketFacts& socket, const Guards& guards) {
  if (is_listener(socket)) return "it listens: end its process instead (--stop-process), or close it there";
  if (socket.mptcp) return "the kernel made it for an MPTCP connection: close that";
  switch (socket.cause) {
    case Cause::kTimeWait:
      return "TIME_WAIT is no leak: no descriptor, no process, and over within 60 s";
    case Cause::kRequest:
      return "half-open: the handshake ends by itself";
    case Cause::kKernel:
      return "the kernel made it for itself: disconnect or unmount what uses it";
    case Cause::kMptcpSubflow:
      return "the kernel made it for an MPTCP connection: it ends with that, after a minute at most";
    case Cause::kUnknown:
    case Cause::kHidden:
      return "nobody is seen to hold it: it may be the kernel's own, or its holder is hidden from us";
    case Cause::kOrphan:
      if (guards.orphans_die.value_or(false)) break;
      return guards.orphans_die ? "closed by its owner already, and this kernel would keep it forever if destroyed "
                                  "(Linux commit bac76cf89816 is missing): it ends by itself"
                                : "closed by its owner already, and the test whether this kernel lets such sockets go "
                                  "could not be run: it ends by itself";
    default:
      break;
  }
  return {};
}

/// Refused because nothing can be done to such a socket; empty = it can.
[[nodiscard]] std::string kind_refusal(const SocketFacts& socket, Method method) {
  if (socket.id.value == 0 || socket.id.value == ~std::uint64_t{0}) return "the kernel gives it no identity";
  const Protocol protocol = socket.addresses.protocol;
  if (protocol == Protocol::kUdp && socket.addresses.remote.port == 0) {
    return "an unconnected UDP socket stays bound whatever is done to it: only its owner can close it";
  }
  if ((protocol == Protocol::kTcp || protocol == Protocol::kMptcp) && socket.state == TcpState::kClose) {
    return "it has no connection any more: only close() in its holder, or the holder's end, frees it";
  }
  if (method == Method::kDestroy) {
    if (protocol == Protocol::kTcp || protocol == Protocol::kUdp) return {};
    return std::string("the kernel destroys no ") + to_string(protocol) + " sockets" +
           (protocol == Protocol::kMptcp || protocol == Protocol::kSctp ? ": --shutdown ends the connection in order" : "");
  }
  if (!is_held(socket)) return "no process has a descriptor for it, so there is nothing to shut down";
  if (socket.state == TcpState::kSynSent) return "it is not connected yet";
  return {};
}

/// Why it is refused; empty = it is not.
[[nodiscard]] std::string refusal(const SocketFacts& socket, const Guards& guards) {
  const bool ends = ends_with_holder(socket, guards);
  std::string why = ends ? std::string() : cause_refusal(socket, guards);
  if (why.empty() && !guards.even_mine && is_mine(socket, guards)) {
    why = "sockleak itself or what it was started from uses it (--even-mine to insist)";
  }
  if (why.empty() && !ends) why = kind_refusal(socket, guards.method);
  return why;
}

[[nodiscard]] std::string owner_sees(const SocketFacts& socket, Method method) {
  switch (socket.cause) {
    case Cause::kOrphan:
    case Cause::kStuckExit:
      return {};
    case Cause::kAcceptQueue:
      return "accept() still returns it, then ECONNABORTED";
    case Cause::kInFlight:
      return "whoever receives it gets ECONNABORTED once, then end of file";
    case Cause::kRingRequest:
      return "the request ends with ECONNABORTED";
    case Cause::kBlockedCall:
      return "the call ends with ECONNABORTED";
    default:
      break;
  }
  if (method == Method::kShutdown) return "end of file; EPIPE when it writes";
  if (socket.addresses.protocol == Protocol::kUdp) return "ECONNABORTED once; it is disconnected then";
  if (socket.state == TcpState::kCloseWait) return "end of file, then ECONNABORTED when it writes";
  return "ECONNABORTED once, then end of file; EPIPE when it writes";
}

[[nodiscard]] std::string why_allowed(const SocketFacts& socket, const Guards& guards) {
  if (is_held(socket)) return "a process holds it, and " + guards.named_by;
  switch (socket.cause) {
    case Cause::kOrphan:
      return "closed by its owner; the peer has not taken what is left, and this kernel lets it go";
    case Cause::kAcceptQueue:
      return "it waits in the accept queue of its listener";
    case Cause::kStuckExit:
      return "its process is dead and can do nothing with it any more";
    default:
      return "what keeps it is proven and not the kernel's own, and " + guards.named_by;
  }
}

[[nodiscard]] std::string what_stays(const SocketFacts& socket) {
  switch (socket.cause) {
    case Cause::kAcceptQueue:
      return "its place in the accept queue, until it is accepted";
    case Cause::kStuckExit:
      return "the exit that does not end, until what it waits for is freed";
    case Cause::kInFlight:
      return "the descriptor in the message, until that is received or its unix socket closed";
    case Cause::kRingSlot:
      return "the slot: only the program, or its end, frees that";
    case Cause::kMapping:
      return "the mapping: only munmap() in the program, or its end, frees that";
    case Cause::kNone:
    case Cause::kZombieLeader:
    case Cause::kUnsharedFiles:
      return "the descriptor: only close() in the process, or its end, frees that";
    default:
      return {};
  }
}

}  // namespace

std::size_t Plan::allowed() const {
  return static_cast<std::size_t>(
      std::count_if(steps.begin(), steps.end(), [](const Step& step) { return step.allowed; }));
}

Plan make_plan(std::vector<SocketFacts> named, const Guards& guards) {
  Plan plan;
  plan.method = guards.method;
  plan.steps.reserve(named.size());
  for (SocketFacts& socket : named) {
    Step step;
    step.why = refusal(socket, guards);
    if (step.why.empty() && guards.refuses) step.why = guards.refuses(socket);
    step.allowed = step.why.empty();
    if (step.allowed) {
      const bool ends = ends_with_holder(socket, guards);
      step.why = why_allowed(socket, guards);
      step.owner_sees = ends ? "its own end: SIGTERM, then SIGKILL" : owner_sees(socket, guards.method);
      if (!ends) step.stays = what_stays(socket);
    }
    step.socket = std::move(socket);
    plan.steps.push_back(std::move(step));
  }
  std::stable_partition(plan.steps.begin(), plan.steps.end(), [](const Step& step) { return step.allowed; });
  return plan;
}

}  // namespace sockleak::act
