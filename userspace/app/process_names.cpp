#include "app/process_names.hpp"

#include <variant>

namespace sockleak {

void ProcessNames::observe(const Event& event) {
  if (!look_up_) return;
  if (const auto* created = std::get_if<SocketCreated>(&event)) learn(created->task, created->comm);
  if (const auto* accepted = std::get_if<SocketAccepted>(&event)) learn(accepted->task, accepted->comm);
  if (const auto* execed = std::get_if<ProcessExeced>(&event)) rename(execed->task.process, execed->comm);
}

void ProcessNames::ask_now(Pid pid) {
  if (look_up_) early_[pid] = look_up_(pid);
}

const ProcessName* ProcessNames::find(const ProcessId& process) const {
  const auto found = names_.find(process);
  return found == names_.end() ? nullptr : &found->second;
}

void ProcessNames::learn(const Task& task, const std::string& thread) {
  if (task.process.pid.value == 0 || names_.contains(task.process) || names_.size() >= kMost) return;
  ProcessName name = look_up_(task.process.pid);
  // Gone already: the main thread's name is the process's.
  if (name.comm.empty() && task.tid == task.process.pid) name.comm = thread;
  names_.emplace(task.process, std::move(name));
}

void ProcessNames::rename(const ProcessId& process, const std::string& comm) {
  if (!names_.contains(process) && names_.size() >= kMost) return;
  ProcessName name = look_up_(process.pid);
  if (const auto early = early_.find(process.pid); early != early_.end()) {
    if (name.exe.empty()) name.exe = early->second.exe;
    early_.erase(early);
  }
  if (name.comm.empty()) name.comm = comm;
  names_[process] = std::move(name);
}

}  // namespace sockleak
