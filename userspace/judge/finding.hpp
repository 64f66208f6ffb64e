// What the judge says of one site, still in terms of StackIds; the app resolves the stacks and makes the report.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "track/site.hpp"
#include "track/socket_record.hpp"

namespace sockleak {

enum class Verdict : std::uint8_t { kLeak, kSuspect, kPool, kInherited, kOwnerless, kStuck };
[[nodiscard]] const char* to_string(Verdict verdict);  // "leak" ...

struct Evidence {
  std::string rule;       // "close-wait"
  std::string text;       // "35 sockets >= 10 s, oldest 48 s"
  double confidence = 0;  // 0..1, of this rule alone
};

struct Finding {
  SiteKey site;
  std::vector<SiteKey> merged = {};  // other sites that are the same way to the same place
  Verdict verdict = Verdict::kSuspect;
  double confidence = 0;   // of all rules together
  bool counts = false;     // among the leaked sockets of the report: sure enough, and somebody's fault here
  std::uint64_t created = 0;
  std::uint64_t closed = 0;
  std::uint64_t leaked = 0;
  double leaked_per_minute = 0;
  std::vector<Evidence> evidence;
  std::vector<SocketRecord> sockets;  // the leaked ones, oldest first; may be fewer than `leaked`
  std::vector<SocketRecord> listeners;  // of kOwnerless: whose accept queues the sockets wait in
  Duration median_lifetime{};         // of closed siblings; zero = none
  Duration longest_lifetime{};
  std::vector<std::pair<ClosePath, std::uint64_t>> closed_at;  // siblings', most frequent first
};

}  // namespace sockleak
