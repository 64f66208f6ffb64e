#include "judge/account.hpp"

#include "judge/passed_over.hpp"
#include "judge/standing.hpp"

namespace sockleak {
namespace {

constexpr std::size_t kFew = 2;

[[nodiscard]] bool shows_a_pool(const std::vector<PassedOver>& passed) {
  for (const PassedOver& group : passed) {
    if (group.says == PassedOver::Says::kPool || group.says == PassedOver::Says::kSaturated) return true;
  }
  return false;
}

/// Used again after it had lain idle.
[[nodiscard]] bool was_taken_up(const Life& life) { return life.facts.uses.bursts > 1; }

}  // namespace

Account account_of(const Tracker& tracker, KernelTime now, Duration older, const std::vector<Finding>& findings, const NamesOf& names) {
  std::set<SocketId> charged;
  for (const Finding& finding : findings) {
    for (const SocketRecord& socket : finding.sockets) charged.insert(socket.id);
  }
  Account account;
  const std::vector<Siblings> all = all_siblings(tracker, now, false, names);
  const Births births(all);
  for (const Siblings& siblings : all) {
    account.listening += siblings.open_listeners.size();
    const bool pool = shows_a_pool(passed_over(siblings, births, tracker, now, older));
    for (const Life& life : siblings.open) {
      const Standing standing = standing_of(life, older);
      if (charged.contains(life.socket->id)) ++account.charged;
      else if (standing == Standing::kInUse || standing == Standing::kUnserved || life.idle() < older) ++account.in_use;
      else if (pool || was_taken_up(life)) ++account.pooled;
      else if (siblings.open.size() <= kFew) ++account.kept;
      else ++account.undecided;
    }
  }
  return account;
}

}  // namespace sockleak
