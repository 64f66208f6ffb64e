// Go's src/net/http/transport.go: (*persistConn).readLoop peeks for the first byte of an answer, which it also does while
// the connection idles in the pool. While somebody has still to read or close a body, it waits for that and reads nothing.
// Connections of HTTP/2 are never the caller's: they belong to the pool however their streams end.
#include "runtime/go/findings/idle_pools.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace sockleak {
namespace {

using std::string_view;

constexpr string_view kReadLoop = "net/http.(*persistConn).readLoop";
constexpr string_view kPeek = "bufio.(*Reader).Peek";
constexpr auto kReadLoops2 = std::to_array<string_view>({"net/http.(*http2ClientConn).readLoop",
                                                         "net/http/internal/http2.(*ClientConn).readLoop",
                                                         "golang.org/x/net/http2.(*ClientConn).readLoop"});

}  // namespace

bool waits_in_pool(const Stack& stack) {
  for (std::size_t i = 0; i < stack.frames.size(); ++i) {
    const string_view function = stack.frames[i].function;
    if (function == kReadLoop) return i != 0 && stack.frames[i - 1].function == kPeek;
    if (std::ranges::find(kReadLoops2, function) != kReadLoops2.end()) return true;
  }
  return false;
}

bool idles_in_pool(const SocketRecord& socket, const Tracker& tracker, const StackStore& stacks,
                   Symbolizer& symbolizer) {
  const Goroutine* goroutine = tracker.goroutine(socket.id);
  if (goroutine == nullptr || goroutine->waits_at == kNoStack) return false;
  return waits_in_pool(symbolizer.symbolize(stacks.get(goroutine->waits_at)));
}

}  // namespace sockleak
