#include "app/destroy_options.hpp"

#include <charconv>

#include "app/acting.hpp"
#include "app/raw_options.hpp"
#include "base/text.hpp"

namespace sockleak {

Result<DestroyOptions> understand(const RawDestroyOptions& raw, bool any_pid) {
  const auto usage = [](std::string what, std::string hint) {
    return fail(ErrorKind::kUsage, std::move(what), std::move(hint));
  };
  DestroyOptions options;
  for (const std::string& word : raw.filter) options.filter += (options.filter.empty() ? "" : " ") + word;
  options.from = raw.from;
  options.site = raw.site;
  options.yes = raw.yes;
  options.dry_run = raw.dry_run;
  options.even_mine = raw.even_mine;
  options.shutdown = raw.shutdown;
  options.stop_process = raw.stop_process;
  if (options.filter.find_first_not_of(' ') == std::string::npos && options.from.empty() && !any_pid) {
    return usage("nothing is named, so nothing is destroyed", "give a filter, --from REPORT.json or -p PID");
  }
  if (!options.site.empty() && options.from.empty()) return usage("--site chooses from a report", "add --from FILE");
  if (options.yes && options.dry_run) return usage("--yes and --dry-run exclude each other", "");
  if (options.shutdown && options.stop_process) return usage("--shutdown and --stop-process exclude each other", "");
  if (!raw.grace.empty()) {
    if (!options.stop_process) return usage("--grace is for --stop-process", "");
    auto grace = parse_duration(raw.grace);
    if (!grace) return tl::unexpected(grace.error());
    options.grace = *grace;
  }
  if (!raw.rate.empty()) {
    std::string_view text = raw.rate;
    if (text.ends_with("/s")) text.remove_suffix(2);
    unsigned rate = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), rate);
    if (error != std::errc() || end != text.data() + text.size() || rate == 0 || rate > 1'000'000) {
      return usage("--rate takes sockets per second, as in 50/s, not " + quote(raw.rate), "");
    }
    options.per_second = rate;
  }
  return options;
}

Result<DestroyOptions> understand_leftovers(const RawDestroyOptions& raw, bool wanted) {
  DestroyOptions options;
  options.yes = raw.yes;
  options.dry_run = raw.dry_run;
  if ((raw.yes || raw.dry_run) && !wanted) return fail(ErrorKind::kUsage, "--yes and --dry-run are for --destroy", "");
  if (raw.yes && raw.dry_run) return fail(ErrorKind::kUsage, "--yes and --dry-run exclude each other", "");
  if (wanted && !raw.yes && !raw.dry_run && !can_ask()) {
    return fail(ErrorKind::kUsage, "--destroy has nobody to ask", "--yes acts, --dry-run only says what it would do");
  }
  return options;
}

}  // namespace sockleak
