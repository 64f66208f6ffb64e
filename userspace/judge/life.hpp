// One socket as the judge sees it: when it was made, used and left alone, in the same words for one that is open now and
// for one that ended and may have been nobody's any more by then.
#pragma once

#include <optional>

#include "track/tracker.hpp"

namespace sockleak {

struct Life {
  const SocketRecord* socket = nullptr;  // borrowed from the tracker
  SocketFacts facts;                     // of the last look, or of the close
  KernelTime born;
  KernelTime used;                // the last use that is known, else the birth
  KernelTime until;               // the moment of judgement: now, or the end of the socket
  std::optional<KernelTime> fin;  // when the peer's FIN came
  bool accepted = false;          // it came through a listener
  bool other_end_waits = false;   // of a socketpair: a thread is blocked in the other end
  bool ended = false;             // only the end of its process closed it, or somebody in the last moments of it
  bool end_was_forced = false;    // by a signal, or as far as anybody knows
  CloseHow how = CloseHow::kCall;  // of one that has ended
  StackId closed_at = kNoStack;

  /// When the program last read or wrote, to the microsecond where uses were counted from its birth; the kernel's own times are
  /// rounded to its tick, in which a program can do a lot.
  [[nodiscard]] KernelTime last_touched() const;
  [[nodiscard]] Duration idle() const { return until - used; }
  [[nodiscard]] Duration age() const { return until - born; }
  /// Nothing ever went through it, as far as anybody can tell; nullopt = nobody can.
  [[nodiscard]] std::optional<bool> never_used() const;
};

/// As the last snapshot found it.
[[nodiscard]] Life life_of(const SocketRecord& socket, const Tracker& tracker, KernelTime now);
[[nodiscard]] Life life_of(const EndedSocket& ended, const Tracker& tracker);

/// Whether the process ended on its own account: it called exit() with no signal in sight.
[[nodiscard]] bool ended_by_itself(const ProcessId& process, const Tracker& tracker);

}  // namespace sockleak
