// What the tracker keeps of sockets that are gone: those whose end may turn out to have been nobody's doing.
#include <algorithm>
#include <utility>

#include "track/tracker.hpp"

namespace sockleak {
namespace {

// Whoever closes so long after the last use may be tidying up what others forgot.
constexpr Duration kLateClose = std::chrono::seconds(1);

}  // namespace

/// Only the end of a process closed it, and that process made it, or is a child that was forked while its creator had it
/// and that never touched it: then it is the creator's, whoever is last.
bool Tracker::left_by_creator(const SocketRecord& socket, const SocketClosed& close) const {
  if (close.how != CloseHow::kExit || socket.origin == Origin::kBeforeAttach || socket.creator.process.pid.value == 0) return false;
  const ProcessId& creator = socket.creator.process;
  if (creator == close.task.process) return true;
  const auto line = processes_.descent(creator, close.task.process);
  if (!line || line->execed || line->shares_files || !processes_.end_of(creator) || line->left < socket.created) return false;
  const LastTouch* touched = last_touch(socket.id);
  return touched == nullptr || touched->touch.task.process == creator;
}

void Tracker::keep_at_exit(Site& site, EndedSocket ended) {
  ++totals_.open_at_exit;
  ++site.open_at_exit;
  if (ended.record.state == TcpState::kListen) ++site.listening_at_exit;
  if (site.at_exit.size() >= Site::kKeptAtExit) return;
  ended.record.holders.clear();  // their process is gone
  site.at_exit.push_back(std::move(ended));
}

void Tracker::keep_late(Site& site, EndedSocket ended) const {
  const KernelTime used = std::max({last_use(ended.facts), ended.record.created, fin_of(ended.record, ended.facts).value_or(KernelTime{})});
  const bool late = ended.closed - used >= kLateClose;
  if (!late && !options_.keep_last_closes) return;
  std::deque<EndedSocket>& kept = late ? site.late : site.last;
  if (kept.size() >= (late ? Site::kKeptLate : Site::kKeptLast)) kept.pop_front();
  kept.push_back(std::move(ended));
}

}  // namespace sockleak
