#include "judge/suspicion.hpp"

#include <set>

namespace sockleak {
namespace {

constexpr std::size_t kRises = 2;

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

}  // namespace sockleak
