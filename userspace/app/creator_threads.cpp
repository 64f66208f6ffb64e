#include "app/creator_threads.hpp"

#include <set>
#include <utility>

#include "abi/wire.h"

namespace sockleak {

void tell_creator_threads(const Tracker& tracker, const Procfs& procfs, KernelTime now, RecordSink& sink) {
  std::set<std::pair<ProcessId, Pid>> creators;
  for (const auto& [id, socket] : tracker.sockets()) {
    if (socket.creator.process.pid.value != 0) creators.insert({socket.creator.process, socket.creator.tid});
  }
  for (const auto& [process, tid] : creators) {
    sl_snapshot_thread wire{};
    wire.header.size = sizeof(wire);
    wire.header.type = SL_SNAPSHOT_THREAD;
    wire.header.ktime_ns = now.ns;
    wire.header.tgid = process.pid.value;
    wire.header.tid = tid.value;
    wire.header.start_ns = process.start_ns;
    wire.header.flags = procfs.has_thread(process.pid, tid) ? SL_THREAD_LIVES : 0;
    sink.on_record(std::as_bytes(std::span(&wire, 1)));
  }
}

}  // namespace sockleak
