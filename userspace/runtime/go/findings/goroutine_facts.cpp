#include "runtime/go/findings/goroutine_facts.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "symbolize/symbolizer.hpp"

namespace sockleak {
namespace {

/// Goroutines of one `go` statement whose ancestors were at the same places.
struct Way {
  StackId created_at = kNoStack;
  bool exact = false;
  std::vector<StackId> ancestors;
  friend auto operator<=>(const Way&, const Way&) = default;
};

[[nodiscard]] Way way_of(const Goroutine& goroutine) {
  Way way{goroutine.created_at, goroutine.exact, {}};
  for (const Goroutine::Ancestor& ancestor : goroutine.ancestors) way.ancestors.push_back(ancestor.stack);
  return way;
}

[[nodiscard]] bool has_own_frame(const Stack& stack) {
  return !std::all_of(stack.frames.begin(), stack.frames.end(), is_runtime_frame);
}

}  // namespace

void add_goroutine_facts(ReportFinding& finding, const std::vector<SocketRecord>& sockets, const Tracker& tracker,
                         const ResolveStack& resolve) {
  std::map<Way, std::vector<const Goroutine*>> ways;
  for (const SocketRecord& socket : sockets) {
    if (const Goroutine* goroutine = tracker.goroutine(socket.id)) ways[way_of(*goroutine)].push_back(goroutine);
  }
  const auto busiest = std::max_element(
      ways.begin(), ways.end(), [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
  if (busiest == ways.end()) return;
  const auto& [way, goroutines] = *busiest;
  if (way.created_at != kNoStack) finding.goroutine_created_at = resolve(way.created_at);
  for (std::size_t i = 0; i < way.ancestors.size(); ++i) {
    ReportAncestor ancestor{goroutines.front()->ancestors[i].goroutine, way.exact, resolve(way.ancestors[i]), 0};
    for (const Goroutine* other : goroutines) {
      if (other->ancestors[i].goroutine != ancestor.goroutine) ancestor.goroutine = 0;
    }
    ancestor.culprit = culprit_frame(ancestor.stack);
    finding.goroutine_ancestors.push_back(std::move(ancestor));
  }
  if (has_own_frame(finding.created_at)) return;
  const auto own = std::find_if(finding.goroutine_ancestors.begin(), finding.goroutine_ancestors.end(),
                                [](const ReportAncestor& ancestor) { return has_own_frame(ancestor.stack); });
  if (own != finding.goroutine_ancestors.end()) {
    finding.caller = static_cast<std::size_t>(own - finding.goroutine_ancestors.begin());
  } else if (finding.goroutine_ancestors.empty()) {
    finding.ancestors_why = "the program runs without GODEBUG=tracebackancestors=10";
  } else {
    finding.ancestors_why = "no ancestor that is kept runs the program's own code";
  }
}

}  // namespace sockleak
