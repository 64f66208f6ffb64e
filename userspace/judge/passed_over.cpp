#include "judge/passed_over.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "base/text.hpp"
#include "judge/standing.hpp"
#include "track/hand_over.hpp"

namespace sockleak {
namespace {

// A birth replaces a sibling that was closed so shortly before or after it.
constexpr Duration kReplacedBefore = std::chrono::seconds(2);
constexpr Duration kReplacedAfter = std::chrono::seconds(1);
constexpr double kYoungerThanMedian = 1.3;
constexpr double kReapedGap = 0.5;      // of an idle time: who was taken up again after that may be so, too
constexpr std::size_t kReapedCount = 2;
constexpr std::size_t kFewest = 3;
constexpr std::size_t kFewestLater = 2;
constexpr double kReusedShare = 0.25;
constexpr double kFarBeyondReuse = 8;
constexpr double kBeyondReuse = 1.3;  // if there are many
constexpr std::size_t kManyBeyond = 5;
constexpr Duration kLeastPace = std::chrono::milliseconds(100);

/// A sibling, open or gone, in the few facts that matter here.
struct Sibling {
  KernelTime born, used, until;
  Duration longest_gap{};
  Pid creator;
  const Life* life = nullptr;  // of one that is judged
  bool closed = false;         // by the program
  bool birth = true;           // it was seen being made
  bool replaces = false;       // its birth followed, or was followed by, the close of another one
};

struct Group {
  std::vector<Sibling> siblings;
  std::vector<KernelTime> closes;
  bool any_judged = false;
};

using GroupKey = std::pair<ProcessId, std::uint32_t>;

[[nodiscard]] std::uint32_t peer_of(const SocketRecord& socket) {
  return socket.addresses.protocol == Protocol::kTcp || socket.addresses.protocol == Protocol::kMptcp
             ? peer_hash(socket.addresses.remote)
             : 0;
}

[[nodiscard]] bool is_stream(Protocol protocol) { return protocol == Protocol::kTcp || protocol == Protocol::kMptcp; }

[[nodiscard]] bool is_from_before(const Siblings& siblings) { return siblings.key.role == Role::kBeforeConnected; }

[[nodiscard]] std::map<GroupKey, Group> grouped(const Siblings& siblings, const Births& births) {
  std::map<GroupKey, Group> groups;
  for (const auto* lives : {&siblings.open, &siblings.ended}) {
    for (const Life& life : *lives) {
      Group& group = groups[{owner_of(*life.socket), peer_of(*life.socket)}];
      group.any_judged = true;
      group.siblings.push_back({.born = life.born, .used = life.last_touched(), .until = life.until,
                                .longest_gap = life.facts.uses.longest_gap, .creator = life.socket->creator.tid, .life = &life, .birth = !is_from_before(siblings)});
    }
  }
  if (is_from_before(siblings)) {
    for (auto& [key, group] : groups) {
      const auto* later = births.of(key.first, key.second);
      if (later == nullptr) continue;
      for (const Births::Birth& birth : *later) {
        if (birth.closed) group.closes.push_back(birth.until);
        group.siblings.push_back({.born = birth.born, .used = birth.used, .until = birth.until, .longest_gap = birth.longest_gap,
                                  .creator = birth.creator, .closed = birth.closed});
      }
    }
  }
  for (const GoneSocket& gone : siblings.gone) {
    const std::uint32_t peer = is_stream(siblings.key.protocol) ? gone.peer : 0;
    const auto group = groups.find({gone.process, peer});
    if (group == groups.end()) continue;
    group->second.closes.push_back(gone.closed);
    group->second.siblings.push_back({.born = gone.born, .used = gone.last_use.ns != 0 ? std::max(gone.last_use, gone.born) : gone.closed,
                                      .until = gone.closed, .longest_gap = gone.longest_gap, .creator = gone.creator, .closed = true});
  }
  return groups;
}

/// Each close makes room for one birth.
void match_replacements(Group& group) {
  std::sort(group.closes.begin(), group.closes.end());
  std::vector<bool> taken(group.closes.size(), false);
  for (Sibling& sibling : group.siblings) {
    const KernelTime from{sibling.born.ns - std::min<std::uint64_t>(sibling.born.ns, static_cast<std::uint64_t>(kReplacedBefore.count()))};
    auto at = static_cast<std::size_t>(std::lower_bound(group.closes.begin(), group.closes.end(), from) - group.closes.begin());
    for (; at < group.closes.size() && group.closes[at] <= sibling.born + kReplacedAfter; ++at) {
      if (taken[at] || (sibling.closed && group.closes[at] == sibling.until)) continue;
      taken[at] = true;
      sibling.replaces = true;
      break;
    }
  }
}

/// Births that passed a sibling over, as indices; what is asked of them takes no walk along them.
struct Passing {
  std::size_t from = 0, to = 0;
  [[nodiscard]] bool empty() const { return from >= to; }
  [[nodiscard]] std::size_t size() const { return empty() ? 0 : to - from; }
};

class Examination {
 public:
  Examination(Group& group, const Tracker& tracker, KernelTime now, Duration older, const PassingOptions& options)
      : group_(group), tracker_(tracker), now_(now), older_(older), options_(options) {
    std::sort(group.siblings.begin(), group.siblings.end(), [](const Sibling& a, const Sibling& b) {
      return std::tie(a.born, a.until) < std::tie(b.born, b.until);
    });
    match_replacements(group);
    index();
    one_per_thread_ = births_of_.size() > 1 && births_of_.size() == group.siblings.size();
  }

  [[nodiscard]] PassedOver result() {
    PassedOver out;
    out.peak = peak();
    KernelTime first_passing{};
    for (const Sibling& sibling : group_.siblings) {
      const Passing passing = passed_by(sibling);
      if (passing.empty()) continue;
      const KernelTime first = group_.siblings[passing.from].born;
      if (first_passing.ns == 0 || first < first_passing) first_passing = first;
      out.births = std::max<std::uint64_t>(out.births, births_[passing.to] - births_[passing.from]);
      if (sibling.life != nullptr && is_candidate(sibling, passing)) out.idle.push_back(sibling.life);
      else if (longest_gap(sibling) >= options_.usable_after) ++out.reused;
    }
    if (!out.idle.empty()) out.says = verdict(out, first_passing);
    return out;
  }

 private:
  [[nodiscard]] bool ended_by_itself(const Life& life) const {
    return life.ended && life.how == CloseHow::kExit && !life.end_was_forced;
  }

  void index() {
    fresh_.push_back(0);
    births_.push_back(0);
    for (const Sibling& sibling : group_.siblings) {
      active_ = std::max({active_, sibling.birth ? sibling.born : KernelTime{}, sibling.used, sibling.closed ? sibling.until : KernelTime{}});
      if (sibling.birth) births_of_[sibling.creator].push_back(sibling.born);
      fresh_.push_back(fresh_.back() + (sibling.replaces || !sibling.birth ? 0 : 1));
      births_.push_back(births_.back() + (sibling.birth ? 1 : 0));
      gaps_.push_back(longest_gap(sibling));
      if (sibling.closed) lifetimes_.push_back(sibling.until - sibling.born);
    }
    std::sort(gaps_.begin(), gaps_.end());
    std::sort(lifetimes_.begin(), lifetimes_.end());
  }

  [[nodiscard]] Duration lifetime(double quantile) const {
    if (lifetimes_.empty()) return Duration::zero();
    const auto at = static_cast<std::size_t>(quantile * static_cast<double>(lifetimes_.size() - 1));
    return lifetimes_[at];
  }

  /// The births that came while the sibling was idle, and could have taken it.
  [[nodiscard]] Passing passed_by(const Sibling& sibling) const {
    const bool at_the_end = sibling.life != nullptr && ended_by_itself(*sibling.life);
    const Duration usable = at_the_end ? Duration::zero() : options_.usable_after;
    KernelTime until = sibling.until;
    if (sibling.life != nullptr && sibling.life->fin) until = std::min(until, *sibling.life->fin);
    if (!at_the_end) until = std::min(until, KernelTime{now_.ns - std::min(now_.ns, static_cast<std::uint64_t>(options_.birth_age.count()))});
    const auto begin = group_.siblings.begin();
    const auto later = [](KernelTime time, const Sibling& other) { return time < other.born; };
    const auto earlier = [](const Sibling& other, KernelTime time) { return other.born < time; };
    const auto from = std::upper_bound(begin, group_.siblings.end(), sibling.used + usable, later);
    const auto to = std::lower_bound(begin, group_.siblings.end(), until, earlier);
    Passing passing{static_cast<std::size_t>(from - begin), static_cast<std::size_t>(to - begin)};
    while (passing.from < passing.to && !group_.siblings[passing.from].birth) ++passing.from;
    return passing;
  }

  [[nodiscard]] bool is_candidate(const Sibling& sibling, const Passing& passing) const {
    const Life& life = *sibling.life;
    const Standing standing = standing_of(life, older_);
    if (standing == Standing::kInUse || standing == Standing::kUnserved) return false;
    if (awaits_first_answer(life) || belongs_to_a_thread(sibling, passing)) return false;
    if (fresh_[passing.to] == fresh_[passing.from]) return false;  // each of them replaced a closed one
    if (is_young(sibling)) return false;
    const Duration idle = std::max(active_, sibling.used) - sibling.used;
    const Duration gap = std::max(std::chrono::duration_cast<Duration>(kReapedGap * idle), options_.usable_after);
    auto taken_up = static_cast<std::size_t>(gaps_.end() - std::lower_bound(gaps_.begin(), gaps_.end(), gap));
    if (longest_gap(sibling) >= gap) --taken_up;
    return taken_up < kReapedCount;
  }

  /// A long poll: asked, and nothing has ever come.
  [[nodiscard]] static bool awaits_first_answer(const Life& life) {
    return is_stream(life.socket->addresses.protocol) && life.facts.known && life.facts.last_sent.ns != 0 &&
           life.facts.last_received.ns == 0 && life.socket->rx_bytes == 0 && life.facts.waiter != Waiter::kNobody;
  }

  /// One connection for each living thread is a way to work, not a leak.
  [[nodiscard]] bool belongs_to_a_thread(const Sibling& sibling, const Passing& passing) const {
    if (tracker_.goroutine(sibling.life->socket->id) != nullptr) return false;
    const auto lives = tracker_.thread_lives(sibling.life->socket->creator);
    if (lives.has_value() && !*lives) return false;
    if (!lives.has_value() && !one_per_thread_) return false;
    const std::vector<KernelTime>& own = births_of_.at(sibling.creator);
    const auto next = std::lower_bound(own.begin(), own.end(), group_.siblings[passing.from].born);
    return next == own.end() || *next > group_.siblings[passing.to - 1].born;
  }

  /// Most siblings are closed, after a life that this one has not had yet.
  [[nodiscard]] bool is_young(const Sibling& sibling) const {
    if (lifetimes_.size() * 2 < group_.siblings.size()) return false;
    const double age = seconds(sibling.life->age());
    return age <= kYoungerThanMedian * seconds(lifetime(0.5)) || sibling.life->age() <= lifetime(0.95);
  }

  /// How long it lay idle at most before it was used again, or closed by its program.
  [[nodiscard]] static Duration longest_gap(const Sibling& sibling) {
    return sibling.closed ? std::max(sibling.longest_gap, sibling.until - sibling.used) : sibling.longest_gap;
  }

  [[nodiscard]] std::size_t peak() const {
    std::vector<std::pair<KernelTime, int>> steps;
    for (const Sibling& sibling : group_.siblings) {
      steps.emplace_back(sibling.born, 1);
      steps.emplace_back(sibling.used, -1);
    }
    std::sort(steps.begin(), steps.end(), [](const auto& a, const auto& b) { return std::tie(a.first, b.second) < std::tie(b.first, a.second); });
    std::ptrdiff_t now = 0, most = 0;
    for (const auto& [time, step] : steps) most = std::max(most, now += step);
    return static_cast<std::size_t>(most);
  }

  [[nodiscard]] std::ptrdiff_t open_at(KernelTime time) const {
    return std::count_if(group_.siblings.begin(), group_.siblings.end(),
                         [&](const Sibling& s) { return s.born <= time && (s.closed ? time < s.until : time <= s.until); });
  }

  /// How many more there are than after the first third of the time that something was done in.
  [[nodiscard]] std::ptrdiff_t growth() const { return open_at(active_) - open_at(third()); }

  [[nodiscard]] KernelTime third() const {
    const KernelTime begin = std::min(active_, std::max(tracker_.session_begin(), group_.siblings.front().born));
    return begin + (active_ - begin) / 3;
  }

  /// New ones come, but never more than were there: each takes the place of one that was closed.
  [[nodiscard]] bool keeps_its_size(const PassedOver& out) const {
    const KernelTime since = third();
    const auto born = std::count_if(group_.siblings.begin(), group_.siblings.end(), [&](const Sibling& s) { return s.birth && s.born > since; });
    return growth() <= 0 && static_cast<std::size_t>(born) >= std::max(out.idle.size(), kFewest);
  }

  [[nodiscard]] PassedOver::Says verdict(PassedOver& out, KernelTime first_passing) const {
    using Says = PassedOver::Says;
    const std::size_t count = out.idle.size();
    if (keeps_its_size(out) || (count <= out.peak && growth() <= 0)) return Says::kPool;
    if (static_cast<double>(out.reused) >= kReusedShare * static_cast<double>(count) && !far_beyond_reuse(out)) return Says::kSuspect;
    if (count < kFewest) return Says::kSuspect;
    const auto later = std::count_if(out.idle.begin(), out.idle.end(), [&](const Life* life) { return life->born >= first_passing; });
    const bool at_the_end = ended_by_itself(*out.idle.front());
    if (static_cast<std::size_t>(later) < kFewestLater) return Says::kSuspect;
    if (!at_the_end && has_saturated(out)) return count <= out.peak ? Says::kPool : Says::kSaturated;
    out.short_session = !at_the_end && now_ - tracker_.session_begin() < options_.shortest_session;
    return out.short_session ? Says::kSuspect : Says::kLeak;
  }

  [[nodiscard]] bool far_beyond_reuse(const PassedOver& out) const {
    Duration longest{};
    const std::set<const Life*> idle(out.idle.begin(), out.idle.end());
    for (const Sibling& sibling : group_.siblings) {
      if (sibling.life == nullptr || !idle.contains(sibling.life)) longest = std::max(longest, longest_gap(sibling));
    }
    const auto beyond = [&](double times) {
      return static_cast<std::size_t>(std::count_if(out.idle.begin(), out.idle.end(), [&](const Life* life) {
        return seconds(std::max(active_, life->used) - life->used) > times * seconds(longest);
      }));
    };
    return beyond(kFarBeyondReuse) >= kFewest || beyond(kBeyondReuse) >= kManyBeyond;
  }

  /// The work went on for long without leaving another one behind, and without many more being opened.
  [[nodiscard]] bool has_saturated(const PassedOver& out) const {
    KernelTime first = out.idle.front()->used, last = first;
    for (const Life* life : out.idle) {
      first = std::min(first, life->used);
      last = std::max(last, life->used);
    }
    const double pace = static_cast<double>(out.idle.size() - 1) / seconds(std::max(last - first, kLeastPace));
    // Those that would be the next ones are not known for it yet.
    const auto more = std::count_if(group_.siblings.begin(), group_.siblings.end(), [&](const Sibling& sibling) {
      return sibling.birth && !sibling.closed && !sibling.replaces && sibling.born > last;
    });
    if (static_cast<std::size_t>(more) >= std::max(out.idle.size() / 4, kFewest)) return false;
    const Duration worked = std::min(std::max(active_, last) - last, now_ - last - recognised_after(out));
    return pace * seconds(worked) >= options_.saturation;
  }

  /// How long one must have lain idle to be among the candidates.
  [[nodiscard]] Duration recognised_after(const PassedOver& out) const {
    Duration after = options_.birth_age + options_.usable_after;
    if (gaps_.size() >= kReapedCount) {
      after = std::max(after, std::chrono::duration_cast<Duration>(gaps_[gaps_.size() - kReapedCount] / kReapedGap));
    }
    const bool terminal = std::none_of(out.idle.begin(), out.idle.end(),
                                       [&](const Life* life) { return standing_of(*life, older_) == Standing::kIdle; });
    return terminal ? std::max(after, older_) : after;
  }

  Group& group_;
  const Tracker& tracker_;
  KernelTime now_;
  Duration older_;
  const PassingOptions& options_;
  std::map<Pid, std::vector<KernelTime>> births_of_;  // by thread, in order
  std::vector<std::size_t> births_;                   // [i]: how many of the first i siblings were seen being made
  std::vector<std::size_t> fresh_;                    // [i]: how many of these replaced no closed sibling
  KernelTime active_;                                 // when anything was last done with any of them
  std::vector<Duration> gaps_;                        // longest_gap() of each, sorted
  bool one_per_thread_ = false;
  std::vector<Duration> lifetimes_;  // of closed ones, sorted
};

}  // namespace

Births::Births(const std::vector<Siblings>& all) {
  for (const Siblings& siblings : all) {
    if (siblings.key.role != Role::kConnector || !is_stream(siblings.key.protocol)) continue;
    for (const auto* lives : {&siblings.open, &siblings.ended}) {
      for (const Life& life : *lives) {
        births_[{owner_of(*life.socket), peer_of(*life.socket)}].push_back(
            {life.born, life.used, life.until, life.facts.uses.longest_gap, life.socket->creator.tid, false});
      }
    }
    for (const GoneSocket& gone : siblings.gone) {
      const KernelTime used = gone.last_use.ns != 0 ? std::max(gone.last_use, gone.born) : gone.closed;
      births_[{gone.process, gone.peer}].push_back({gone.born, used, gone.closed, gone.longest_gap, gone.creator, true});
    }
  }
}

const std::vector<Births::Birth>* Births::of(const ProcessId& process, std::uint32_t peer) const {
  const auto found = births_.find({process, peer});
  return found == births_.end() || peer == 0 ? nullptr : &found->second;
}

std::vector<PassedOver> passed_over(const Siblings& siblings, const Births& births, const Tracker& tracker, KernelTime now,
                                    Duration older, const PassingOptions& options) {
  std::vector<PassedOver> out;
  if (siblings.key.role == Role::kAccepted || siblings.key.role == Role::kBeforeAccepted) return out;
  auto groups = grouped(siblings, births);
  for (auto& [key, group] : groups) {
    PassedOver passed = Examination(group, tracker, now, older, options).result();
    if (passed.says != PassedOver::Says::kNothing) out.push_back(std::move(passed));
  }
  return out;
}

std::string describe(const PassedOver& passed) {
  const std::size_t count = passed.idle.size();
  std::string text = count_text(count) + (count == 1 ? " idle one was" : " idle ones were") + " passed over when " +
                     count_text(passed.births) + (passed.births == 1 ? " more was" : " more were") + " opened";
  if (passed.reused != 0) text += ", " + count_text(passed.reused) + " others were used again";
  return text;
}

}  // namespace sockleak
