#include "act/carry_out.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <unordered_map>

#include "act/shutdown.hpp"

namespace sockleak::act {
namespace {

constexpr std::size_t kAtOnce = 1024;  // between looks at the interrupt, if there is no rate

[[nodiscard]] StepResult refused(int os_errno) {
  switch (os_errno) {
    case EOPNOTSUPP:
      return {Outcome::kRefused, "this kernel cannot destroy such sockets (CONFIG_INET_DIAG_DESTROY)"};
    case EPERM:
    case EACCES:
      return {Outcome::kRefused, "not permitted: needs CAP_NET_ADMIN in its network namespace"};
    case EHOSTUNREACH:
      return {Outcome::kRefused, "its network namespace cannot be entered: needs CAP_SYS_ADMIN"};
    case ESTALE:
      return {Outcome::kRefused, "it listens by now"};
    case ENOSYS:
      return {Outcome::kRefused, "a thread has it in a table of its own, where this kernel lets nobody reach it (Linux 6.9)"};
    default:
      return {Outcome::kRefused, std::strerror(os_errno)};
  }
}

[[nodiscard]] StepResult result_of(int os_errno) {
  if (os_errno == 0) return {Outcome::kDone, {}};
  if (os_errno == ENOENT) return {Outcome::kAlreadyGone, {}};
  return refused(os_errno);
}

/// What the tables say afterwards outranks what the calls said.
void verify(const Plan& plan, const std::vector<SocketFacts>& after, std::vector<StepResult>& results) {
  std::unordered_map<SocketId, const SocketFacts*> alive;
  for (const SocketFacts& socket : after) alive.emplace(socket.id, &socket);
  for (std::size_t i = 0; i < results.size(); ++i) {
    const Step& step = plan.steps[i];
    const auto found = alive.find(step.socket.id);
    if (!step.allowed || found == alive.end()) continue;
    if (results[i].outcome == Outcome::kAlreadyGone) {
      results[i] = {Outcome::kRefused, "still there: the kernel found another socket at its address"};
    } else if (results[i].outcome == Outcome::kDone && plan.method == Method::kDestroy &&
               step.socket.addresses.protocol == Protocol::kTcp && found->second->state != TcpState::kClose) {
      results[i] = {Outcome::kRefused, "the kernel reported success, but it is still there"};
    }
  }
}

/// The answers for a stretch of steps.
[[nodiscard]] Result<std::vector<int>> act_on(const std::vector<const SocketFacts*>& sockets, Method method,
                                              KernelSockets& kernel) {
  if (method == Method::kDestroy) return kernel.destroy(sockets);
  std::vector<int> answers;
  for (const SocketFacts* socket : sockets) answers.push_back(shut_down(*socket));
  return answers;
}

}  // namespace

const char* to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::kDone:
      return "done";
    case Outcome::kAlreadyGone:
      return "already gone";
    case Outcome::kRefused:
      return "refused";
  }
  return "refused";
}

Result<std::vector<StepResult>> carry_out(const Plan& plan, KernelSockets& kernel, const CarryOutOptions& options) {
  std::vector<StepResult> results;
  for (const Step& step : plan.steps) results.push_back({Outcome::kRefused, step.allowed ? "interrupted" : step.why});
  const std::size_t count = plan.allowed();  // they come first
  const std::size_t stride = options.per_second ? std::size_t{1} : kAtOnce;
  for (std::size_t begin = 0; begin < count; begin += stride) {
    if (options.interrupted && options.interrupted()) break;
    std::vector<const SocketFacts*> sockets;
    const std::size_t end = std::min(count, begin + stride);
    for (std::size_t i = begin; i < end; ++i) sockets.push_back(&plan.steps[i].socket);
    const auto answers = act_on(sockets, plan.method, kernel);
    if (!answers) return tl::unexpected(answers.error());
    for (std::size_t i = begin; i < end; ++i) results[i] = result_of((*answers)[i - begin]);
    if (options.per_second && options.pause && end < count) {
      options.pause(std::chrono::nanoseconds(std::chrono::seconds(1)) / *options.per_second);
    }
  }
  if (count == 0) return results;
  const auto after = kernel.list();
  if (!after) return tl::unexpected(after.error());
  verify(plan, *after, results);
  return results;
}

bool everything_done(const Plan& plan, const std::vector<StepResult>& results) {
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (plan.steps[i].allowed && results[i].outcome == Outcome::kRefused) return false;
  }
  return true;
}

}  // namespace sockleak::act
