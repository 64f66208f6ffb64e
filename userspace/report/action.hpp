// What was done, or would be, about one socket. The same in sockleak.report/1 and sockleak.destroy/1.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace sockleak {

struct ReportAction {
  struct End {
    std::string address;  // empty = none
    std::uint16_t port = 0;
  };
  struct Holder {
    std::uint32_t pid = 0;
    std::string comm;
    std::int32_t fd = -1;
  };
  std::uint64_t cookie = 0;
  std::string protocol, state;
  End local, remote;
  std::uint64_t netns = 0;
  std::string cause;  // "held"
  std::vector<Holder> holders;
  bool allowed = false;
  std::string why;         // it is allowed, or refused
  std::string owner_sees;  // empty = nobody
  std::string stays;       // what is not cured by it; empty = nothing
  std::string result;      // "done" | "already gone" | "refused"; empty = it was only planned
  std::string result_why;
};

/// What `--destroy` of trace and check did.
struct ReportActions {
  bool dry_run = false;
  std::vector<ReportAction> sockets;
};

[[nodiscard]] nlohmann::ordered_json action_json(const ReportAction& action);
}  // namespace sockleak
