#include "runtime/java/java_identity.hpp"

#include <sys/uio.h>
#include <time.h>

#include <algorithm>

namespace sockleak {
namespace {

constexpr std::size_t kBatch = 512;  // the kernel takes at most 1024 pieces a call

KernelTime clock_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return KernelTime{static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec)};
}

/// The words at these addresses, in as few calls as there can be; 0 for those that are not there.
std::vector<std::uint64_t> read_words(Pid pid, const std::vector<std::uint64_t>& addresses) {
  std::vector<std::uint64_t> values(addresses.size(), 0);
  for (std::size_t at = 0; at < addresses.size();) {
    std::vector<iovec> from;
    for (std::size_t i = at; i < std::min(addresses.size(), at + kBatch); ++i) {
      from.push_back({reinterpret_cast<void*>(addresses[i]), sizeof(std::uint64_t)});
    }
    const iovec to{values.data() + at, from.size() * sizeof(std::uint64_t)};
    const ssize_t got = ::process_vm_readv(static_cast<pid_t>(pid.value), &to, 1, from.data(), from.size(), 0);
    const std::size_t whole = got > 0 ? static_cast<std::size_t>(got) / sizeof(std::uint64_t) : 0;
    at += whole == from.size() ? whole : whole + 1;  // leaves out the one that is not there
  }
  return values;
}

}  // namespace

void JavaIdentities::watch(const TargetMemory& memory, std::uint64_t begin, std::uint64_t end,
                           std::span<const std::uint64_t> addresses) {
  Thing thing{begin, end, {}, clock_now()};
  for (const std::uint64_t address : addresses) {
    thing.words.push_back({address, memory.value<std::uint64_t>(address).value_or(0)});
  }
  if (things_.empty()) checked_ = thing.known;
  things_.push_back(std::move(thing));
}

std::vector<JavaIdentities::Change> JavaIdentities::check(Pid pid) {
  const KernelTime before = clock_now();
  std::vector<std::uint64_t> addresses;
  for (const Thing& thing : things_) {
    for (const Word& word : thing.words) addresses.push_back(word.address);
  }
  const auto values = read_words(pid, addresses);
  const KernelTime after = clock_now();
  checked_ = before;
  pause_ = std::max(kShortest, (after - before) * kShare);
  // A process that has ended can no longer be asked, and changes no more.
  if (std::ranges::all_of(values, [](std::uint64_t value) { return value == 0; })) return {};
  std::vector<Change> changes;
  std::vector<Thing> same;
  auto value = values.begin();
  for (Thing& thing : things_) {
    bool is_same = true;
    for (const Word& word : thing.words) is_same &= *value++ == word.value;
    if (!is_same) {
      changes.push_back({thing.known, after, thing.begin, thing.end});
      continue;
    }
    thing.known = before;
    same.push_back(std::move(thing));
  }
  things_ = std::move(same);
  for (const Change& change : changes) {
    if (changes_.size() >= kMostChanges) changes_.pop_front();
    changes_.push_back(change);
  }
  return changes;
}

bool JavaIdentities::doubtful(std::uint64_t address, KernelTime when) const {
  return std::ranges::any_of(changes_, [&](const Change& change) {
    return change.begin <= address && address <= change.end && when <= change.to;
  });
}

bool JavaIdentities::changed(std::uint64_t address, KernelTime one, KernelTime other) const {
  const KernelTime first = std::min(one, other), last = std::max(one, other);
  return std::ranges::any_of(changes_, [&](const Change& change) {
    return change.begin <= address && address <= change.end && first < change.to && change.from < last;
  });
}

}  // namespace sockleak
