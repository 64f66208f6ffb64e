#include "judge/survivors.hpp"

#include <algorithm>
#include <cmath>

#include "judge/standing.hpp"

namespace sockleak {
namespace {

constexpr std::size_t kFewestClosed = 3;
constexpr double kFarBeyond = 3;      // times what 95 % of the closed ones needed
constexpr double kVeryFarBeyond = 10;
constexpr double kManyClosed = 20;
// One or two that were made before all the others may be kept for life.
constexpr double kKeptForLife = 0.4;
constexpr double kFew[] = {0, 0.6, 0.75, 0.85, 0.9};

struct Ends {
  std::vector<Duration> idle, lived, used;
  std::vector<std::uint32_t> bursts;
};

[[nodiscard]] Duration quantile(std::vector<Duration>& values, double q) {
  if (values.empty()) return Duration::zero();
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
}

[[nodiscard]] Ends ends_of(const Siblings& siblings) {
  const bool accepted = siblings.key.role == Role::kAccepted;
  const bool connected = siblings.key.role == Role::kConnector && siblings.key.protocol == Protocol::kTcp;
  Ends ends;
  for (const GoneSocket& gone : siblings.gone) {
    if (accepted && !gone.before_peer) continue;  // the peer's FIN is what they waited for
    if (connected && gone.last_use.ns == 0 && !gone.before_peer) continue;  // it never became a connection
    ends.lived.push_back(gone.closed - gone.born);
    if (gone.last_use.ns != 0) {
      ends.idle.push_back(gone.closed - std::max(gone.last_use, gone.born));
      ends.used.push_back(std::max(gone.last_use, gone.born) - gone.born);
    }
    if (gone.bursts != 0) ends.bursts.push_back(gone.bursts);
  }
  return ends;
}

/// Used on and off over a longer time than any that was closed: somebody comes back to it.
[[nodiscard]] bool is_come_back_to(const Life& life, const Ends& ends) {
  const std::uint32_t most = ends.bursts.empty() ? 0 : *std::max_element(ends.bursts.begin(), ends.bursts.end());
  if (!ends.bursts.empty() && life.facts.uses.bursts > std::max(most, std::uint32_t{1})) return true;
  if (ends.used.empty()) return false;
  const Duration longest = *std::max_element(ends.used.begin(), ends.used.end());
  return seconds(life.used - life.born) > kFarBeyond * std::max(seconds(longest), 0.1);
}

[[nodiscard]] bool judged_by_siblings(Standing standing, bool accepted) {
  return standing == Standing::kIdle || standing == Standing::kUnread || (!accepted && standing == Standing::kHungUp);
}

}  // namespace

Survivors survivors(const Siblings& siblings, Duration older) {
  Survivors out;
  if (siblings.key.role == Role::kPair && siblings.gone.size() < static_cast<std::size_t>(kManyClosed)) return out;
  Ends ends = ends_of(siblings);
  if (ends.lived.size() < kFewestClosed) return out;
  out.by_idle_time = ends.idle.size() * 2 >= ends.lived.size();
  std::vector<Duration>& compared = out.by_idle_time ? ends.idle : ends.lived;
  out.closed = static_cast<double>(compared.size()) * siblings.gone_weight;
  out.usual = quantile(compared, 0.95);
  out.longest = compared.back();
  const Duration longest_life = *std::max_element(ends.lived.begin(), ends.lived.end());
  KernelTime last_birth{}, active{};
  for (const GoneSocket& gone : siblings.gone) {
    last_birth = std::max(last_birth, gone.born);
    active = std::max(active, gone.closed);
  }
  for (const auto* lives : {&siblings.open, &siblings.ended}) {
    for (const Life& life : *lives) active = std::max(active, life.used);
  }
  KernelTime first_birth = siblings.gone.front().born;
  for (const GoneSocket& gone : siblings.gone) first_birth = std::min(first_birth, gone.born);
  bool all_early = true;
  for (const auto* lives : {&siblings.open, &siblings.ended}) {
    for (const Life& life : *lives) {
      if (life.accepted && life.ended) continue;  // nobody knows any more who waited for what its peer might say
      if (!judged_by_siblings(standing_of(life, older), life.accepted) || is_come_back_to(life, ends)) continue;
      // What nobody has done any work beside says nothing: the load may have stopped.
      const KernelTime until = std::min(active, life.until);
      const Duration measure = std::max(until, life.used) - (out.by_idle_time ? life.used : life.born);
      const bool has_future = !life.ended || life.end_was_forced || life.how != CloseHow::kExit;
      if (has_future && (life.idle() < older || life.born > last_birth)) continue;
      if (seconds(measure) < kFarBeyond * seconds(out.usual) || measure <= out.longest) continue;
      if (!has_future && life.age() <= longest_life) continue;  // it may have been at work
      out.oldest = std::max(out.oldest, measure);
      all_early = all_early && life.born < first_birth;
      out.lives.push_back(&life);
    }
  }
  if (out.lives.empty()) return out;
  out.confidence = kFew[std::min<std::size_t>(out.lives.size(), std::size(kFew) - 1)];
  if (out.closed >= kManyClosed) out.confidence += 0.05;
  if (seconds(out.oldest) < kVeryFarBeyond * seconds(out.usual)) out.confidence -= 0.1;
  if (all_early && out.lives.size() <= 2) out.confidence = std::min(out.confidence, kKeptForLife);
  return out;
}

}  // namespace sockleak
