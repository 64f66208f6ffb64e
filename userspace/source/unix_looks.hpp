// Unix sockets whose close no hook tells of: looks at the kernel's tables find them gone.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "base/ids.hpp"
#include "base/time.hpp"
#include "kernel/programs.hpp"
#include "source/event_source.hpp"
#include "source/target_table.hpp"

namespace sockleak {

class UnixLooks {
 public:
  explicit UnixLooks(const Programs& programs) : programs_(programs) {}

  /// A look begins: what the iterators find from now on is there.
  void begin();
  /// Whether it is time for one apart from snapshots. Never where a hook tells of every close.
  [[nodiscard]] bool due(KernelTime now) const;
  /// Takes one, if there are sockets to be found. False: it saw nothing, or not all.
  [[nodiscard]] bool look(const TargetTable& targets);
  /// Closes of the sockets that were there before the last look began and that neither it nor another walk finds, with no
  /// word on how. What the rings hold must have been delivered.
  void tell_gone(const TargetTable& targets, RecordSink& sink) const;

 private:
  [[nodiscard]] bool needed() const;
  bool walk(const TargetTable& targets) const;
  [[nodiscard]] std::vector<std::uint64_t> missing(const std::set<NetnsId>& walked) const;

  const Programs& programs_;
  KernelTime begun_;
};

}  // namespace sockleak
