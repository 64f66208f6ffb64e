#include "act/kernel_sockets.hpp"

#include <algorithm>
#include <cerrno>

#include "act/iterator_destroy.hpp"
#include "base/log.hpp"

namespace sockleak::act {
Result<DiagSockets> DiagSockets::open(std::filesystem::path proc) {
  DiagSockets sockets(std::move(proc));
  const NetnsHandles namespaces = find_network_namespaces(sockets.proc_);
  if (namespaces.list.empty()) {
    return fail(ErrorKind::kCannotTrace, "cannot tell the network namespace", "is /proc mounted?");
  }
  const NetnsHandle& home = namespaces.list.front();
  for (const NetnsHandle& there : namespaces.list) {
    const auto inside = InNetworkNamespace::enter(there, home);
    if (!inside) {
      log::info(inside.error().message());
      continue;
    }
    auto socket = DiagSocket::open();
    if (!socket) return tl::unexpected(socket.error());
    sockets.places_.push_back({there.id, std::move(*socket)});
  }
  return sockets;
}

Result<std::vector<SocketFacts>> DiagSockets::list() {
  std::vector<SocketFacts> sockets;
  for (Place& place : places_) {
    for (const Protocol protocol : {Protocol::kTcp, Protocol::kUdp}) {
      for (const Family family : {Family::kInet, Family::kInet6}) {
        auto dump = place.socket.dump(family, protocol);
        if (!dump) return tl::unexpected(dump.error());
        for (SocketFacts& socket : dump->sockets) {
          socket.netns = place.netns;
          sockets.push_back(std::move(socket));
        }
      }
    }
  }
  return sockets;
}

Result<std::vector<int>> DiagSockets::destroy(std::span<const SocketFacts* const> sockets) {
  std::vector<int> answers(sockets.size(), EHOSTUNREACH);  // whose namespace cannot be entered
  for (Place& place : places_) {
    std::vector<const SocketFacts*> here;
    std::vector<std::size_t> positions;
    for (std::size_t i = 0; i < sockets.size(); ++i) {
      if (sockets[i]->netns != place.netns) continue;
      here.push_back(sockets[i]);
      positions.push_back(i);
    }
    if (here.empty()) continue;
    const auto there = place.socket.destroy(here);
    if (!there) return tl::unexpected(there.error());
    for (std::size_t i = 0; i < here.size(); ++i) answers[positions[i]] = (*there)[i];
  }
  try_harder(sockets, answers);
  return answers;
}

/// sock_diag finds a socket by its address, and of several at one address only one; a kernel may be built without it.
void DiagSockets::try_harder(std::span<const SocketFacts* const> sockets, std::vector<int>& answers) {
  const auto failed = [](int answer) { return answer == ENOENT || answer == EOPNOTSUPP || answer == EHOSTUNREACH; };
  if (std::none_of(answers.begin(), answers.end(), failed)) return;
  const NetnsHandles namespaces = find_network_namespaces(proc_);
  for (const NetnsHandle& there : namespaces.list) {
    std::vector<const SocketFacts*> here;
    std::vector<std::size_t> positions;
    for (std::size_t i = 0; i < sockets.size(); ++i) {
      if (!failed(answers[i]) || sockets[i]->netns != there.id) continue;
      here.push_back(sockets[i]);
      positions.push_back(i);
    }
    if (here.empty()) continue;
    const auto inside = InNetworkNamespace::enter(there, namespaces.list.front());
    const auto destroyed = inside ? destroy_through_iterators(here) : tl::unexpected<Error>(inside.error());
    if (!destroyed) {
      log::info(destroyed.error().message());
      continue;
    }
    for (std::size_t i = 0; i < here.size(); ++i) answers[positions[i]] = (*destroyed)[i];
  }
}

}  // namespace sockleak::act
