// What processes are called: name and executable, asked while they live and kept, because a report is written when many
// of them are gone. A replay is given what the recording kept.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/ids.hpp"
#include "event/event.hpp"

namespace sockleak {

struct ProcessName {
  std::string comm;  // of the thread group's leader; empty = unknown
  std::string exe;   // empty = unknown
  std::string cgroup = {};  // path; empty = unknown
  friend bool operator==(const ProcessName&, const ProcessName&) = default;
};

class ProcessNames {
 public:
  /// Programs that fork without end: later processes stay unnamed.
  static constexpr std::size_t kMost = 8192;
  using LookUp = std::function<ProcessName(Pid)>;

  ProcessNames() = default;
  /// `look_up` is asked once per process and again after an exec.
  explicit ProcessNames(LookUp look_up) : look_up_(std::move(look_up)) {}

  /// Learns the processes that open sockets, and new names.
  void observe(const Event& event);
  /// `pid` is known to run its final program now; it may be gone when its first event is read.
  void ask_now(Pid pid);
  void put(const ProcessId& process, ProcessName name) { names_[process] = std::move(name); }

  /// nullptr if nothing is known.
  [[nodiscard]] const ProcessName* find(const ProcessId& process) const;
  [[nodiscard]] const std::map<ProcessId, ProcessName>& all() const { return names_; }

 private:
  [[nodiscard]] ProcessName ask(Pid pid) const;
  void learn(const Task& task, const std::string& thread);
  void rename(const ProcessId& process, const std::string& comm);
  void inherit(const ProcessForked& forked);
  void take_inherited(const ProcessId& process, ProcessName& name) const;

  LookUp look_up_;
  std::map<ProcessId, ProcessName> names_;
  std::map<Pid, ProcessName> early_;
  std::map<ProcessId, std::string> inherited_;  // cgroups, of processes that may end before they can be asked
};

}  // namespace sockleak
