// A story told to the pipeline of the program, and the report it gives.
#pragma once

#include "app/pipeline.hpp"
#include "app/report_builder.hpp"
#include "source/replay_source.hpp"
#include "support/event_builder.hpp"
#include "unit/app/fake_symbolizer.hpp"

namespace sockleak::test {

/// A session of `check -- ./app`.
inline Session check_session() {
  Session session;
  session.tool_version = "0.1.0";
  session.host = {"6.18.0", "x86_64", "11111111-2222-3333-4444-555555555555"};
  session.target = {.kind = "command", .pids = {812}, .command = {"./app"}, .exit_status = 0};
  session.hooks = {{"create", "cgroup/sock_create"}};
  session.started_ms = 1'893'456'000'250;  // 2030-01-01T00:00:00.250Z
  session.judge.at_exit = true;
  return session;
}

class ToldStory {
 public:
  explicit ToldStory(const EventBuilder& story, Session told = check_session())
      : session(std::move(told)), recording(story.recording()), pipeline({.growth_window = session.growth_window, .keep_last_closes = session.judge.at_exit}) {
    ReplaySource source(recording);
    if (!drain(source, pipeline)) std::abort();
  }

  [[nodiscard]] Report report(bool every_site = false) {
    return build_report({.session = session,
                         .tracker = pipeline.tracker(),
                         .stacks = pipeline.stacks(),
                         .symbolizer = symbolizer,
                         .counters = pipeline.counters(),
                         .every_site = every_site});
  }

  Session session;
  Recording recording;
  Pipeline pipeline;
  FakeSymbolizer symbolizer;
};

}  // namespace sockleak::test
