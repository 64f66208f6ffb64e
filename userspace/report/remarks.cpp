#include "report/remarks.hpp"

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/text.hpp"

namespace sockleak {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kCrowded = 60;  // percent, as for `scan --max-port-use` in monitoring

[[nodiscard]] std::string host_and_port(const std::string& address, std::uint16_t port) {
  const bool v6 = address.find(':') != std::string::npos;
  return (v6 ? "[" + address + "]" : address) + ":" + std::to_string(port);
}

[[nodiscard]] std::string joined(const std::vector<std::string>& words, const char* between) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : between) + word;
  return out;
}

[[nodiscard]] std::string families_text(const std::vector<ReportFamily>& families) {
  if (families.size() == 1) return families.front().family;
  std::vector<std::string> words;
  for (const ReportFamily& one : families) words.push_back(count_text(one.count) + ' ' + one.family);
  return joined(words, ", ");
}

[[nodiscard]] std::string counting_text(const ReportCounting& counting) {
  std::string options;
  if (counting.suspects) options += " --fail-on suspect";
  if (!counting.only.empty()) options += " --only " + joined(counting.only, ",");
  return counted(counting.counted, "socket counts", "sockets count") + " for the exit status (" + options.substr(1) +
         ")";
}

}  // namespace

std::vector<std::string> crowded_ports(const Report& report) {
  std::vector<std::string> out;
  for (const ReportPortUse& use : report.ports) {
    if (use.percent() < kCrowded) continue;
    std::array<char, 16> percent{};
    std::snprintf(percent.data(), percent.size(), "%.0f %%", use.percent());
    out.push_back(std::string(percent.data()) + " of the ephemeral ports (" + count_text(use.used) + " of " +
                  count_text(use.range) + ") are used from " + escape_terminal(use.local_address) + " to " +
                  escape_terminal(host_and_port(use.remote_address, use.remote_port)));
  }
  return out;
}

std::vector<std::string> remarks(const Report& report) {
  std::vector<std::string> out;
  if (!report.other_families.empty()) {
    const std::uint64_t count =
        std::accumulate(report.other_families.begin(), report.other_families.end(), std::uint64_t{0},
                        [](std::uint64_t sum, const ReportFamily& one) { return sum + one.count; });
    out.push_back(count_text(count) + (count == 1 ? " socket of a family that is" : " sockets of families that are") +
                  " not followed (" + escape_terminal(families_text(report.other_families)) +
                  (count == 1 ? ") was left open" : ") were left open"));
  }
  if (!report.counting) return out;
  const ReportCounting& counting = *report.counting;
  if (counting.left_out != 0) {
    const auto warmup = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(counting.warmup_s));
    out.push_back(counted(counting.left_out, "accused socket was", "accused sockets were") +
                  " left out: opened before the warm-up of " + duration_text(warmup) + " was over");
  }
  if (counting.suspects || !counting.only.empty()) out.push_back(counting_text(counting));
  return out;
}

Json ports_json(const Report& report) {
  Json out = Json::array();
  for (const ReportPortUse& use : report.ports) {
    out.push_back(Json{{"netns", use.netns},
                       {"local_address", valid_utf8(use.local_address)},
                       {"remote", {{"address", valid_utf8(use.remote_address)}, {"port", use.remote_port}}},
                       {"used", use.used},
                       {"range", use.range},
                       {"percent", static_cast<double>(static_cast<std::int64_t>(use.percent() * 10)) / 10}});
  }
  return out;
}

Json other_families_json(const Report& report) {
  Json out = Json::array();
  for (const ReportFamily& one : report.other_families) {
    out.push_back(Json{{"family", valid_utf8(one.family)}, {"count", one.count}});
  }
  return out;
}

Json counting_json(const ReportCounting& counting) {
  Json only = Json::array();
  for (const std::string& rule : counting.only) only.push_back(valid_utf8(rule));
  return {{"fail_on", counting.suspects ? "suspect" : "leak"},
          {"only", std::move(only)},
          {"warmup_s", counting.warmup_s},
          {"max_leaks", counting.max_leaks},
          {"counted", counting.counted},
          {"left_out", counting.left_out}};
}

}  // namespace sockleak
