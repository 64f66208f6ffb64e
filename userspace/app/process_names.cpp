#include "app/process_names.hpp"

#include <variant>

namespace sockleak {

void ProcessNames::observe(const Event& event) {
  if (!look_up_) return;
  if (const auto* created = std::get_if<SocketCreated>(&event)) learn(created->task, created->comm);
  if (const auto* accepted = std::get_if<SocketAccepted>(&event)) learn(accepted->task, accepted->comm);
  if (const auto* forked = std::get_if<ProcessForked>(&event)) inherit(*forked);
  if (const auto* freed = std::get_if<ProcessFreed>(&event)) inherited_.erase(freed->process);
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
  ProcessName name = ask(task.process.pid);
  // Gone already: the main thread's name is the process's.
  if (name.comm.empty() && task.tid == task.process.pid) name.comm = thread;
  take_inherited(task.process, name);
  names_.emplace(task.process, std::move(name));
}

/// What is not to be had any more may have been asked for early.
ProcessName ProcessNames::ask(Pid pid) const {
  ProcessName name = look_up_(pid);
  const auto early = early_.find(pid);
  if (early == early_.end()) return name;
  if (name.exe.empty()) name.exe = early->second.exe;
  if (name.cgroup.empty()) name.cgroup = early->second.cgroup;
  return name;
}

void ProcessNames::inherit(const ProcessForked& forked) {
  if (inherited_.size() >= kMost) return;
  const ProcessId& parent = forked.parent.process;
  if (const ProcessName* name = find(parent); name != nullptr && !name->cgroup.empty()) {
    inherited_[forked.child] = name->cgroup;
    return;
  }
  const auto [of_parent, fresh] = inherited_.try_emplace(parent);
  if (fresh) of_parent->second = ask(parent.pid).cgroup;
  inherited_[forked.child] = of_parent->second;
}

/// Whoever was gone when it was asked has hardly left its parent's cgroup.
void ProcessNames::take_inherited(const ProcessId& process, ProcessName& name) const {
  if (!name.cgroup.empty()) return;
  if (const auto found = inherited_.find(process); found != inherited_.end()) name.cgroup = found->second;
}

void ProcessNames::rename(const ProcessId& process, const std::string& comm) {
  if (!names_.contains(process) && names_.size() >= kMost) return;
  ProcessName name = ask(process.pid);
  early_.erase(process.pid);
  if (name.comm.empty()) name.comm = comm;
  take_inherited(process, name);
  names_[process] = std::move(name);
}

}  // namespace sockleak
