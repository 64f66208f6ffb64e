#include "track/process_tree.hpp"

namespace sockleak {
namespace {

// Start times keep reused pids apart, so forgetting the oldest ends can only lose a remark in a report.
constexpr std::size_t kKeptEnded = 100'000;
// A line of forks is never that long; a damaged recording may go in circles.
constexpr int kLongestLine = 1000;

}  // namespace

void ProcessTree::forked(const ProcessId& parent, const ProcessId& child, KernelTime when, bool shares_files) {
  Node& node = nodes_[child];
  node.parent = parent;
  node.forked = when;
  node.shares_files = shares_files;
}

void ProcessTree::execed(const ProcessId& process, KernelTime when) {
  Node& node = nodes_[process];
  if (!node.first_exec) node.first_exec = when;
  node.last_exec = when;
}

void ProcessTree::ended(const ProcessId& process, KernelTime when, std::optional<int> wait_status) {
  Node& node = nodes_[process];
  if (!node.wait_status) node.wait_status = wait_status;
  if (node.end) return;
  node.end = when;
  ended_order_.push_back(process);
  if (ended_order_.size() <= kKeptEnded) return;
  nodes_.erase(ended_order_.front());
  ended_order_.pop_front();
}

std::optional<KernelTime> ProcessTree::end_of(const ProcessId& process) const {
  const auto node = nodes_.find(process);
  return node == nodes_.end() ? std::nullopt : node->second.end;
}

std::optional<int> ProcessTree::status_of(const ProcessId& process) const {
  const auto node = nodes_.find(process);
  return node == nodes_.end() ? std::nullopt : node->second.wait_status;
}

std::optional<KernelTime> ProcessTree::last_exec(const ProcessId& process) const {
  const auto node = nodes_.find(process);
  return node == nodes_.end() ? std::nullopt : node->second.last_exec;
}

std::optional<ProcessTree::Descent> ProcessTree::descent(const ProcessId& ancestor, const ProcessId& descendant) const {
  Descent line{.left = {}, .execed = false, .shares_files = true};
  std::optional<KernelTime> forked_on;  // when the next one down the line left this one
  auto node = nodes_.find(descendant);
  for (int steps = 0; steps < kLongestLine && node != nodes_.end(); ++steps) {
    const Node& here = node->second;
    if (here.parent.pid.value == 0) return std::nullopt;
    line.execed = line.execed || (here.first_exec && (!forked_on || *here.first_exec <= *forked_on));
    line.shares_files = line.shares_files && here.shares_files;
    line.left = here.forked;
    if (here.parent == ancestor) return line;
    forked_on = here.forked;
    node = nodes_.find(here.parent);
  }
  return std::nullopt;
}

}  // namespace sockleak
