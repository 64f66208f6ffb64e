#include "scan/others.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "event/family.hpp"

namespace sockleak {
namespace {

using Counts = std::map<std::pair<std::string, std::uint32_t>, std::uint64_t>;

std::vector<OtherCount> sorted(const Counts& counts) {
  std::vector<OtherCount> out;
  for (const auto& [key, count] : counts) out.push_back({key.first, Pid{key.second}, count});
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.count > b.count; });
  return out;
}

}  // namespace

std::vector<OtherCount> others_by_family(const ScanReport& report) {
  Counts counts;
  for (const std::size_t index : report.selected_others)
    ++counts[{family_name(report.snapshot.others[index].family), 0}];
  return sorted(counts);
}

std::vector<OtherCount> others_by_holder(const ScanReport& report) {
  Counts counts;
  for (const std::size_t index : report.selected_others) {
    const ScanHolder& holder = report.snapshot.others[index].holders.front();
    ++counts[{holder.comm, holder.pid.value}];
  }
  return sorted(counts);
}

std::vector<OtherCount> others_of(const ScanReport& report, Pid pid) {
  Counts counts;
  for (const OtherSocket& socket : report.snapshot.others) {
    const auto holds = [pid](const ScanHolder& holder) { return holder.pid == pid; };
    if (std::any_of(socket.holders.begin(), socket.holders.end(), holds)) ++counts[{family_name(socket.family), 0}];
  }
  return sorted(counts);
}

std::string families_text(const std::vector<OtherCount>& families) {
  std::string text;
  for (const OtherCount& one : families) text += (text.empty() ? "" : ", ") + count_text(one.count) + ' ' + one.name;
  return text;
}

}  // namespace sockleak
