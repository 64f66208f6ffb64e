#include "app/port_use.hpp"

#include <algorithm>
#include <set>
#include <tuple>

#include "scan/ports.hpp"

namespace sockleak {
namespace {

constexpr std::size_t kMostShown = 100;

using Way = std::tuple<NetnsId, Endpoint, Endpoint>;

[[nodiscard]] Way way_of(const ScanSocket& socket) {
  Endpoint local = unmapped(socket.addresses.local);
  local.port = 0;
  return {socket.netns, local, unmapped(socket.addresses.remote)};
}

}  // namespace

std::vector<ReportPortUse> port_use(const Snapshot& look, const Tracker& tracker) {
  std::set<Way> ways;
  for (const ScanSocket& socket : look.sockets) {
    if (!socket.mini && tracker.sockets().contains(socket.cookie)) ways.insert(way_of(socket));
  }
  std::vector<ReportPortUse> out;
  if (ways.empty()) return out;
  for (const PortReport& ports : measure_ports(look)) {
    for (const PortUse& use : ports.destinations) {
      if (!ways.contains({ports.netns, use.local, use.remote})) continue;
      out.push_back({ports.netns.value, address_text(use.local), address_text(use.remote), use.remote.port, use.used,
                     ports.range});
    }
  }
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.percent() > b.percent(); });
  if (out.size() > kMostShown) out.resize(kMostShown);
  return out;
}

}  // namespace sockleak
