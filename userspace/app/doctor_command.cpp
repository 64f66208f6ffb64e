// `sockleak doctor`: what this kernel and these privileges allow, what is lost without the rest and how to get it.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/commands.hpp"
#include "app/doctor_probes.hpp"
#include "app/output.hpp"
#include "app/session.hpp"
#include "app/version.hpp"
#include "base/text.hpp"
#include "kernel/kernel_features.hpp"

namespace sockleak {
namespace {

constexpr int kSomethingRequiredIsMissing = 3;

[[nodiscard]] const char* state_of(const Feature& feature) {
  if (feature.present) return "present";
  return feature.required ? "MISSING" : "missing";
}

[[nodiscard]] std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

[[nodiscard]] std::string table(const std::vector<Feature>& features) {
  const HostFacts host = host_facts();
  std::string out = "kernel " + escape_terminal(host.kernel) + ' ' + escape_terminal(host.arch) + "\n\n";
  std::size_t need_width = 4, name_width = 4;
  for (const Feature& feature : features) {
    need_width = std::max(need_width, feature.need.size());
    name_width = std::max(name_width, feature.name.size());
  }
  for (const Feature& feature : features) {
    std::string line = "  " + padded(escape_terminal(feature.need), need_width + 2) +
                       padded(escape_terminal(feature.name), name_width + 2) + padded(state_of(feature), 7);
    if (!feature.detail.empty()) line += "  " + escape_terminal(feature.detail);
    if (!feature.remedy.empty()) line += "; " + escape_terminal(feature.remedy);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  }
  const auto missing = [](bool required) {
    return [required](const Feature& feature) { return !feature.present && feature.required == required; };
  };
  const auto required = std::count_if(features.begin(), features.end(), missing(true));
  const auto others = std::count_if(features.begin(), features.end(), missing(false));
  out += required == 0 ? "\nsockleak can trace here" : "\nsockleak cannot trace here: what is MISSING is required";
  if (required == 0 && others != 0) out += "; what is missing has a substitute or costs what is said beside it";
  return out + '\n';
}

[[nodiscard]] std::string json(const std::vector<Feature>& features, bool possible) {
  using Json = nlohmann::ordered_json;
  const HostFacts host = host_facts();
  Json list = Json::array();
  const auto text_or_null = [](const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); };
  for (const Feature& feature : features) {
    list.push_back(Json{{"need", feature.need},
                        {"name", feature.name},
                        {"present", feature.present},
                        {"required", feature.required},
                        {"detail", text_or_null(feature.detail)},
                        {"remedy", text_or_null(feature.remedy)}});
  }
  const Json out{{"schema", "sockleak.doctor/1"},
                 {"tool", {{"version", kVersion}}},
                 {"host", {{"kernel", host.kernel}, {"arch", host.arch}, {"boot_id", host.boot_id}}},
                 {"can_trace", possible},
                 {"features", std::move(list)}};
  return out.dump(2, ' ', true, Json::error_handler_t::replace) + '\n';
}

}  // namespace

Result<int> run_doctor(const Options& options) {
  std::vector<Feature> features = probe_features();
  for (Feature& feature : probe_scan_and_destroy()) features.push_back(std::move(feature));
  const bool possible = check_required(features).has_value();
  if (auto ok = write_stdout(options.json ? json(features, possible) : table(features)); !ok) {
    return tl::unexpected(ok.error());
  }
  return possible ? 0 : kSomethingRequiredIsMissing;
}

}  // namespace sockleak
