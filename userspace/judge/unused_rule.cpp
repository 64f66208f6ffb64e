// unused: sockets that were there before we came, and that nobody uses while we watch. Nobody has seen them being
// opened, and nothing is opened beside them, so a remark is all that can be said. What can be seen is the order:
// descriptors are given out in ascending order while none is given back, so of sockets that are opened, used once and
// forgotten each was used for the last time before the next one was. A pool uses old ones again after it has opened
// newer ones.
#include <algorithm>
#include <map>
#include <tuple>

#include "base/text.hpp"
#include "judge/rule.hpp"
#include "judge/standing.hpp"
#include "track/hand_over.hpp"

namespace sockleak {
namespace {

constexpr std::size_t kFewest = 5;
constexpr double kInOrder = 0.45;
constexpr double kOrderUnknown = 0.4;
constexpr double kInversions = 0.02;  // of all pairs: a descriptor that was given out again after an ordinary close()
constexpr Duration kShortestSpan = std::chrono::seconds(1);

struct Unused {
  Fd fd;
  const Life* life = nullptr;
};

[[nodiscard]] Fd lowest_descriptor(const SocketRecord& socket, const ProcessId& owner) {
  Fd lowest{-1};
  for (const Holder& holder : socket.holders) {
    if (holder.process != owner || holder.via != Via::kDescriptor || holder.fd.value < 0) continue;
    if (lowest.value < 0 || holder.fd.value < lowest.value) lowest = holder.fd;
  }
  return lowest;
}

enum class Order : std::uint8_t { kAscending, kMixed, kUnknown };

/// Whether the order of their descriptors, in which they are sorted, is the order of their last uses.
[[nodiscard]] Order order_of(const std::vector<Unused>& unused) {
  KernelTime first{~std::uint64_t{0}}, last{};
  std::size_t inversions = 0;
  for (std::size_t i = 0; i < unused.size(); ++i) {
    if (last_use(unused[i].life->facts).ns == 0 || unused[i].fd.value < 0) return Order::kUnknown;
    first = std::min(first, unused[i].life->used);
    last = std::max(last, unused[i].life->used);
  }
  // Quadratic, so of a long row only every n-th: the share is what counts.
  const std::size_t step = unused.size() / 500 + 1;
  std::size_t pairs = 0;
  for (std::size_t i = 0; i < unused.size(); i += step) {
    for (std::size_t j = i + step; j < unused.size(); j += step, ++pairs) {
      if (unused[j].life->used < unused[i].life->used) ++inversions;
    }
  }
  if (last - first < kShortestSpan) return Order::kMixed;  // all at once: busy together, as in a pool
  return static_cast<double>(inversions) <= kInversions * static_cast<double>(pairs) ? Order::kAscending
                                                                                     : Order::kMixed;
}

class UnusedRule final : public Rule {
 public:
  void inspect(const SiblingsView& view, const JudgeOptions& options, std::vector<Charge>& charges) const override {
    if (view.siblings.key.role != Role::kBeforeConnected && view.siblings.key.role != Role::kBeforeAccepted) return;
    std::map<ProcessId, std::vector<Unused>> by_owner;
    for (const Life& life : view.siblings.open) {
      if (standing_of(life, options.older) != Standing::kIdle || life.idle() < options.older ||
          life.facts.uses.bursts > 0)
        continue;
      const ProcessId owner = owner_of(*life.socket);
      by_owner[owner].push_back({lowest_descriptor(*life.socket, owner), &life});
    }
    for (auto& [owner, unused] : by_owner) {
      if (unused.size() >= kFewest) charge(std::move(unused), charges);
    }
  }

 private:
  static void charge(std::vector<Unused> unused, std::vector<Charge>& charges) {
    std::sort(unused.begin(), unused.end(), [](const Unused& a, const Unused& b) {
      return std::tie(a.fd.value, a.life->socket->id) < std::tie(b.fd.value, b.life->socket->id);
    });
    const Order order = order_of(unused);
    if (order == Order::kMixed) return;
    Charge charge{.rule = "unused",
                  .confidence = order == Order::kAscending ? kInOrder : kOrderUnknown,
                  .lives = {},
                  .more = 0,
                  .verdict = Verdict::kLeak,
                  .remark = true,
                  .text = {}};
    for (const Unused& one : unused) charge.lives.push_back(one.life);
    charge.text = [order](const Lives& lives) {
      Duration shortest = lives.front()->idle();
      for (const Life* life : lives) shortest = std::min(shortest, life->idle());
      return "unused for " + duration_text(shortest) + " and longer" +
             (order == Order::kAscending ? ", and each was used for the last time before the next one was: a pool "
                                           "would have taken old ones again"
                                         : "; a pool at rest looks the same") +
             "; watch the program at work to tell";
    };
    charges.push_back(std::move(charge));
  }
};

}  // namespace

std::unique_ptr<Rule> make_unused_rule() {
  return std::make_unique<UnusedRule>();
}

}  // namespace sockleak
