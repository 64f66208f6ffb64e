// Whether the threads that made what is still open are there: one connection for each living thread is no leak.
#pragma once

#include "process/procfs.hpp"
#include "source/event_source.hpp"
#include "track/tracker.hpp"

namespace sockleak {

/// Writes an SL_SNAPSHOT_THREAD for every creator of a socket that is open.
void tell_creator_threads(const Tracker& tracker, const Procfs& procfs, KernelTime now, RecordSink& sink);

/// Only for those that have ended while their process goes on, and that nobody has told of: at the end of the process it is too
/// late to ask. At most 1024 threads are asked after.
void tell_ended_creators(const Tracker& tracker, const Procfs& procfs, KernelTime now, RecordSink& sink);

}  // namespace sockleak
