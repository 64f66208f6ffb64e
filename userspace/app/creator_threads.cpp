#include "app/creator_threads.hpp"

#include <set>
#include <utility>

#include "abi/wire.h"

namespace sockleak {

namespace {

constexpr std::size_t kAskedAfter = 1024;

using Creators = std::set<std::pair<ProcessId, Pid>>;

[[nodiscard]] Creators creators_of(const Tracker& tracker) {
  Creators creators;
  for (const auto& [id, socket] : tracker.sockets()) {
    if (socket.creator.process.pid.value != 0) creators.insert({socket.creator.process, socket.creator.tid});
  }
  return creators;
}

void tell(const ProcessId& process, Pid tid, bool lives, KernelTime now, RecordSink& sink) {
  sl_snapshot_thread wire{};
  wire.header.size = sizeof(wire);
  wire.header.type = SL_SNAPSHOT_THREAD;
  wire.header.ktime_ns = now.ns;
  wire.header.tgid = process.pid.value;
  wire.header.tid = tid.value;
  wire.header.start_ns = process.start_ns;
  wire.header.flags = lives ? SL_THREAD_LIVES : 0;
  sink.on_record(std::as_bytes(std::span(&wire, 1)));
}

}  // namespace

void tell_creator_threads(const Tracker& tracker, const Procfs& procfs, KernelTime now, RecordSink& sink) {
  for (const auto& [process, tid] : creators_of(tracker))
    tell(process, tid, procfs.has_thread(process.pid, tid), now, sink);
}

void tell_ended_creators(const Tracker& tracker, const Procfs& procfs, KernelTime now, RecordSink& sink) {
  std::size_t asked = 0;
  for (const auto& [process, tid] : creators_of(tracker)) {
    if (tid.value == process.pid.value || tracker.thread_lives({.process = process, .tid = tid}).has_value()) continue;
    if (++asked > kAskedAfter) return;
    if (!procfs.has_thread(process.pid, tid) && procfs.has_thread(process.pid, process.pid))
      tell(process, tid, false, now, sink);
  }
}

}  // namespace sockleak
