// `sockleak report`: recordings through the same pipeline as a live run, without the kernel.
#include "app/commands.hpp"
#include "app/output.hpp"
#include "app/pipeline.hpp"
#include "app/report_builder.hpp"
#include "app/resolved_stacks.hpp"
#include "app/version.hpp"
#include "source/replay_source.hpp"

namespace sockleak {
namespace {

struct Replayed {
  Report report;
  int status = 0;
};

[[nodiscard]] Result<Replayed> replay(const std::string& path, const Options& options) {
  auto recording = read_recording(path);
  if (!recording) return tl::unexpected(recording.error());
  Session session = parse_session(recording->session_json);
  if (session.tool_version.empty()) session.tool_version = kVersion;
  if (options.older) session.judge.older = *options.older;
  if (options.interval) session.growth_window = *options.interval;

  Pipeline pipeline({.growth_window = session.growth_window, .keep_last_closes = session.judge.at_exit});
  ReplaySource source(*recording);
  if (auto ok = drain(source, pipeline); !ok) return tl::unexpected(ok.error());
  ResolvedStacks symbolizer(*recording);
  Counters counters = source.losses();
  counters.merge(pipeline.counters());
  Replayed result;
  result.report = build_report({.session = session,
                                .tracker = pipeline.tracker(),
                                .stacks = pipeline.stacks(),
                                .symbolizer = symbolizer,
                                .counters = counters,
                                .every_site = options.verbose});
  result.status = exit_status(result.report, session);
  return result;
}

}  // namespace

Result<int> run_report(const Options& options) {
  auto outputs = Outputs::open(options);
  if (!outputs) return tl::unexpected(outputs.error());
  std::vector<Report> reports;
  int status = 0;
  for (const std::string& path : options.recordings) {
    auto replayed = replay(path, options);
    if (!replayed) return tl::unexpected(replayed.error());
    reports.push_back(std::move(replayed->report));
    // Leaks in any of them outweigh other statuses.
    if (status == 0 || reports.back().leaked != 0) status = replayed->status;
  }
  if (auto ok = outputs->write(reports); !ok) return tl::unexpected(ok.error());
  return status;
}

}  // namespace sockleak
