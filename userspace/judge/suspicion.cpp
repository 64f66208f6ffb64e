#include "judge/suspicion.hpp"

#include <set>

namespace sockleak {
namespace {

constexpr std::size_t kRises = 2;
// So many that have been open for so long: whatever they are, where they were used last will be asked.
constexpr std::size_t kSeveral = 3;
constexpr Duration kAWhile = std::chrono::seconds(4);
constexpr std::size_t kKept = 3;
constexpr Duration kKeptFor = std::chrono::seconds(2);

[[nodiscard]] bool rises(const Site& site, KernelTime now) {
  const auto minima = site.live_minima.ended(now);
  if (minima.size() <= kRises) return false;
  for (std::size_t i = minima.size() - kRises; i < minima.size(); ++i) {
    if (minima[i] <= minima[i - 1]) return false;
  }
  return true;
}

}  // namespace

std::vector<Suspicion> suspicions(const Tracker& tracker, KernelTime now, Duration patience) {
  std::set<SiteKey> suspected;
  for (const auto& [key, site] : tracker.sites()) {
    if (rises(site, now)) suspected.insert(key);
  }
  std::map<SiteKey, std::size_t> lasting;
  for (const auto& [id, socket] : tracker.sockets()) {
    if (socket.unaccepted || socket.state == TcpState::kListen || now - socket.created < kAWhile) continue;
    if (++lasting[Tracker::site_of(socket)] == kSeveral) suspected.insert(Tracker::site_of(socket));
  }
  for (const auto& [id, socket] : tracker.sockets()) {
    if (!socket.unaccepted && socket.close_wait_since && now - *socket.close_wait_since >= patience) {
      suspected.insert(Tracker::site_of(socket));
    }
  }
  std::map<SiteKey, Suspicion> found;
  for (const SiteKey& key : suspected) found[key].site = key;
  for (const auto& [id, socket] : tracker.sockets()) {
    const auto at = found.find(Tracker::site_of(socket));
    if (at != found.end() && at->second.open.size() < kSuspectedSockets) at->second.open.push_back(id);
  }
  std::vector<Suspicion> out;
  for (auto& [key, suspicion] : found) out.push_back(std::move(suspicion));
  return out;
}

bool keeps_sockets(const Tracker& tracker, KernelTime now) {
  std::map<SiteKey, std::size_t> kept;
  for (const auto& [id, socket] : tracker.sockets()) {
    if (socket.unaccepted || socket.state == TcpState::kListen || now - socket.created < kKeptFor) continue;
    if (++kept[Tracker::site_of(socket)] >= kKept) return true;
  }
  return false;
}

}  // namespace sockleak
