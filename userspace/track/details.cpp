// What the tracker learns of sockets beside their lives: where they were last touched, what unix sockets are called.
#include "track/tracker.hpp"

namespace sockleak {
namespace {

// Beyond these a finding says it of fewer of its sockets.
constexpr std::size_t kKeptTouches = 100'000;
constexpr std::size_t kKeptNames = 100'000;

}  // namespace

void Tracker::on(const SocketTouched& e) {
  if (e.touch.kind == TouchKind::kNone || find(e.socket) == nullptr) return;
  if (touches_.size() >= kKeptTouches && !touches_.contains(e.socket)) return;
  touches_[e.socket] = {e.touch, resolve(e.touch.stack)};
}

void Tracker::on(const SocketNamed& e) {
  if (find(e.socket) == nullptr) return;
  if (unix_names_.size() >= kKeptNames && !unix_names_.contains(e.socket)) return;
  unix_names_[e.socket] = {e.path, e.peer_path, e.peer};
}

std::optional<bool> Tracker::thread_lives(const Task& task) const {
  const auto found = threads_.find({task.process, task.tid});
  return found == threads_.end() ? std::nullopt : std::optional(found->second);
}

const UnixName* Tracker::unix_name(SocketId socket) const {
  const auto found = unix_names_.find(socket);
  return found == unix_names_.end() ? nullptr : &found->second;
}

const Tracker::LastTouch* Tracker::last_touch(SocketId socket) const {
  const auto found = touches_.find(socket);
  return found == touches_.end() ? nullptr : &found->second;
}

}  // namespace sockleak
