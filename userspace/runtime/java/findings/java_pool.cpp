// sun/net/www/http/{HttpClient,KeepAliveCache}.java of the JDK.
#include "runtime/java/findings/java_pool.hpp"

#include <algorithm>
#include <tuple>
#include <vector>

namespace sockleak {

bool is_of_http_url_connection(const Stack& stack) {
  return std::ranges::any_of(stack.frames, [](const Frame& frame) {
    return frame.kind == FrameKind::kJava && frame.function == "sun.net.www.http.HttpClient.openServer";
  });
}

bool JavaPool::may_hold(const SocketRecord& socket) {
  if (!idle_) look();
  return idle_->contains(socket.id);
}

void JavaPool::look() {
  idle_.emplace();
  std::map<std::pair<ProcessId, Endpoint>, std::vector<const SocketRecord*>> left;
  for (const auto& [key, site] : tracker_.sites()) {
    if (site.at_exit.empty() || key.stack == kNoStack) continue;
    if (!is_of_http_url_connection(symbolizer_.symbolize(stacks_.get(key.stack)))) continue;
    for (const EndedSocket& ended : site.at_exit) left[{ended.record.creator.process, ended.record.addresses.remote}].push_back(&ended.record);
  }
  for (auto& [whose, sockets] : left) {
    std::ranges::sort(sockets, [](const SocketRecord* a, const SocketRecord* b) {
      return std::tie(a->created, a->id) > std::tie(b->created, b->id);
    });
    if (sockets.size() > kKept) sockets.resize(kKept);
    for (const SocketRecord* socket : sockets) idle_->insert(socket->id);
  }
}

}  // namespace sockleak
