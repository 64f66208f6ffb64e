#include "report/action.hpp"

#include <nlohmann/json.hpp>

#include "base/text.hpp"

namespace sockleak {
namespace {

using Json = nlohmann::ordered_json;

[[nodiscard]] Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(valid_utf8(text));
}

[[nodiscard]] Json end_json(const ReportAction::End& end) {
  return {{"address", text_or_null(end.address)}, {"port", end.port}};
}

}  // namespace

Json action_json(const ReportAction& action) {
  Json holders = Json::array();
  for (const ReportAction::Holder& holder : action.holders) {
    holders.push_back(Json{{"pid", holder.pid}, {"comm", valid_utf8(holder.comm)}, {"fd", holder.fd}});
  }
  return {{"cookie", action.cookie},
          {"protocol", valid_utf8(action.protocol)},
          {"state", valid_utf8(action.state)},
          {"local", end_json(action.local)},
          {"remote", end_json(action.remote)},
          {"netns", action.netns},
          {"cause", valid_utf8(action.cause)},
          {"holders", std::move(holders)},
          {"allowed", action.allowed},
          {"why", text_or_null(action.why)},
          {"owner_sees", text_or_null(action.owner_sees)},
          {"stays", text_or_null(action.stays)},
          {"result", text_or_null(action.result)},
          {"result_why", text_or_null(action.result_why)}};
}

}  // namespace sockleak
