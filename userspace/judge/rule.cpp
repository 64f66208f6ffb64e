// What several rules ask of a site.
#include "judge/rule.hpp"

#include <algorithm>
#include <functional>

namespace sockleak {
namespace {

constexpr std::size_t kPlateauWindows = 4;

}  // namespace

bool is_plateau(const SiteView& view) {
  const auto minima = view.site.live_minima.ended(view.now);
  if (minima.size() < kPlateauWindows) return false;
  return std::is_sorted(minima.end() - kPlateauWindows, minima.end(), std::greater<>());
}

}  // namespace sockleak
