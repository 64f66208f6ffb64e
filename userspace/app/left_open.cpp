#include "app/left_open.hpp"

#include <algorithm>

#include "event/family.hpp"

namespace sockleak {

std::vector<ReportFamily> left_open(const OtherFamilies& others, bool at_exit) {
  FamilyCounts counts = others.held;
  if (at_exit) {
    for (const auto& [family, count] : others.left) counts[family] += count;
  }
  std::vector<ReportFamily> out;
  for (const auto& [family, count] : counts) out.push_back({family_name(family), count});
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.count > b.count; });
  return out;
}

}  // namespace sockleak
