// The rules: design.md section 10; the effects were measured, kernel.md section 4.2.
#include "act/plan.hpp"

#include <algorithm>

namespace sockleak::act {
namespace {

[[nodiscard]] bool is_mine(const SocketFacts& socket, const Guards& guards) {
  const auto own = [&](const FdHolder& holder) {
    return std::find(guards.own.begin(), guards.own.end(), holder.pid) != guards.own.end();
  };
  if (std::any_of(socket.holders.begin(), socket.holders.end(), own)) return true;
  return std::any_of(guards.login.begin(), guards.login.end(), [&](const Addresses& login) {
    // Either end of it may be on this machine.
    return (login.local == socket.addresses.local && login.remote == socket.addresses.remote) ||
           (login.local == socket.addresses.remote && login.remote == socket.addresses.local);
  });
}

/// Why it is refused; empty = it is not.
[[nodiscard]] std::string refusal(const SocketFacts& socket, const Guards& guards) {
  switch (socket.cause) {
    case Cause::kListener:
      return "it listens: end its process instead, or close it there";
    case Cause::kTimeWait:
      return "TIME_WAIT is no leak: no descriptor, no process, and over within 60 s";
    case Cause::kRequest:
      return "half-open: the handshake ends by itself";
    case Cause::kKernel:
      return "the kernel made it for itself: disconnect or unmount what uses it";
    case Cause::kSubflow:
      return "the kernel made it for an MPTCP connection: close that";
    case Cause::kUnknown:
      return "nobody is seen to hold it: it may be the kernel's own, or its holder is hidden from us";
    case Cause::kOrphan:
      if (guards.orphans_die.value_or(false)) break;
      return guards.orphans_die ? "closed by its owner already, and this kernel would keep it forever if destroyed "
                                  "(Linux commit bac76cf89816 is missing): it ends by itself"
                                : "closed by its owner already, and the test whether this kernel lets such sockets go "
                                  "could not be run: it ends by itself";
    case Cause::kHeld:
    case Cause::kUnaccepted:
      break;
  }
  if (!guards.even_mine && is_mine(socket, guards)) {
    return "sockleak itself or what it was started from uses it (--even-mine to insist)";
  }
  if (socket.id.value == 0 || socket.id.value == ~std::uint64_t{0}) return "the kernel gives it no identity";
  if (socket.addresses.protocol == Protocol::kUdp && socket.addresses.remote.port == 0) {
    return "an unconnected UDP socket stays bound whatever is done to it: only its owner can close it";
  }
  if (guards.method == Method::kShutdown) {
    if (socket.cause != Cause::kHeld) return "no process holds it, so there is nothing to shut down";
    if (socket.state == TcpState::kSynSent) return "it is not connected yet";
  } else if (socket.addresses.protocol == Protocol::kTcp && socket.state == TcpState::kClose) {
    return "it has no connection any more: only close() in its holder frees it";
  }
  return {};
}

[[nodiscard]] std::string owner_sees(const SocketFacts& socket, Method method) {
  if (socket.cause == Cause::kOrphan) return {};
  if (method == Method::kShutdown) return "end of file; EPIPE when it writes";
  if (socket.cause == Cause::kUnaccepted) return "accept() still returns it, then ECONNABORTED";
  if (socket.addresses.protocol == Protocol::kUdp) return "ECONNABORTED once; it is disconnected then";
  if (socket.state == TcpState::kCloseWait) return "end of file, then ECONNABORTED when it writes";
  return "ECONNABORTED once, then end of file; EPIPE when it writes";
}

[[nodiscard]] std::string why_allowed(const SocketFacts& socket, const Guards& guards) {
  switch (socket.cause) {
    case Cause::kOrphan:
      return "closed by its owner; the peer has not taken what is left, and this kernel lets it go";
    case Cause::kUnaccepted:
      return "it waits in the accept queue of its listener";
    default:
      return "a process holds it, and " + guards.named_by;
  }
}

[[nodiscard]] std::string what_stays(const SocketFacts& socket) {
  if (socket.cause == Cause::kUnaccepted) return "its place in the accept queue, until it is accepted";
  if (socket.cause != Cause::kHeld) return {};
  return "the descriptor: only close() in the process, or its end, frees that";
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
      step.why = why_allowed(socket, guards);
      step.owner_sees = owner_sees(socket, guards.method);
      step.stays = what_stays(socket);
    }
    step.socket = std::move(socket);
    plan.steps.push_back(std::move(step));
  }
  std::stable_partition(plan.steps.begin(), plan.steps.end(), [](const Step& step) { return step.allowed; });
  return plan;
}

}  // namespace sockleak::act
