// What the tracker learns of goroutines.
#include "track/goroutines.hpp"

#include "track/tracker.hpp"

namespace sockleak {

void Tracker::on(const SocketGoroutine& e) {
  Goroutine* goroutine = find(e.socket) == nullptr ? nullptr : goroutines_.note(e.socket);
  if (goroutine == nullptr) return;
  goroutine->id = e.goroutine;
  goroutine->created_at = resolve(e.created_at);
}

void Tracker::on(const SocketWaited& e) {
  Goroutine* goroutine = find(e.socket) == nullptr ? nullptr : goroutines_.note(e.socket);
  if (goroutine != nullptr) goroutine->waits_at = resolve(e.stack);
}

void Tracker::on(const GoroutineAncestors& e) {
  Goroutine* goroutine = find(e.socket) == nullptr ? nullptr : goroutines_.note(e.socket);
  if (goroutine == nullptr) return;
  if (goroutine->exact && !e.exact) return;
  goroutine->exact = e.exact;
  goroutine->ancestors.clear();
  for (const auto& [id, stack] : e.ancestors) goroutine->ancestors.push_back({id, resolve(stack)});
}

}  // namespace sockleak
