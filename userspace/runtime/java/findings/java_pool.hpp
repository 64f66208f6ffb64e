// Connections of Java's HttpURLConnection that may idle in its pool when the program ends: no system call tells them from
// those whose answer nobody has read. But the pool keeps few for each address, and makes no new one while one idles.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>

#include "stack/stack_store.hpp"
#include "symbolize/symbolizer.hpp"
#include "track/tracker.hpp"

namespace sockleak {

/// Was the socket with this creation stack made by the client that HttpURLConnection uses?
[[nodiscard]] bool is_of_http_url_connection(const Stack& stack);

class JavaPool {
 public:
  /// http.maxConnections, unless the program sets it: so many idle connections to one address.
  static constexpr std::size_t kKept = 5;

  JavaPool(const Tracker& tracker, const StackStore& stacks, Symbolizer& symbolizer)
      : tracker_(tracker), stacks_(stacks), symbolizer_(symbolizer) {}

  /// Is it one of the youngest that its process had open to that address at its end?
  [[nodiscard]] bool may_hold(const SocketRecord& socket);

 private:
  void look();
  const Tracker& tracker_;
  const StackStore& stacks_;
  Symbolizer& symbolizer_;
  std::optional<std::set<SocketId>> idle_;
};

}  // namespace sockleak
