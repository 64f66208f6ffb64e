#include "source/target_table.hpp"

#include <bpf/bpf.h>
#include <unistd.h>

namespace sockleak {

Result<void> TargetTable::add(Pid pid, KernelTime joined) {
  struct {
    std::uint32_t asid;
    std::uint16_t swept, shares_files;
    std::uint64_t start_ns;  // 0: whatever runs under this pid now
    std::uint64_t joined_ns;
    std::uint64_t parent_files, forked_ns;
  } target{next_++, 0, 0, 0, joined.ns, 0, 0};
  if (bpf_map_update_elem(map_, &pid.value, &target, BPF_NOEXIST) != 0) {
    if (errno == EEXIST) return {};
    return fail_os(ErrorKind::kCannotTrace, "cannot watch process " + std::to_string(pid.value));
  }
  set(pid, AddressSpaceId{target.asid});
  return {};
}

void TargetTable::add_children(Pid pid) {
  for (const Pid child : procfs_.children(pid)) {
    if (live_.contains(child)) continue;
    if (add(child)) add_children(child);
  }
}

void TargetTable::set(Pid pid, AddressSpaceId space) {
  live_[pid] = space;
  ++users_[space];
}

std::optional<AddressSpaceId> TargetTable::release(Pid pid) {
  const auto process = live_.find(pid);
  if (process == live_.end()) return std::nullopt;
  const AddressSpaceId space = process->second;
  live_.erase(process);
  if (--users_[space] > 0) return std::nullopt;
  users_.erase(space);
  return space;
}

std::set<NetnsId> TargetTable::namespaces() const {
  std::set<NetnsId> all;
  if (const auto own = procfs_.netns(Pid{static_cast<std::uint32_t>(getpid())})) all.insert(*own);
  for (const auto& [pid, space] : live_) {
    if (const auto ns = procfs_.netns(pid)) all.insert(*ns);
  }
  return all;
}

std::vector<UniqueFd> TargetTable::other_namespaces() const {
  std::map<NetnsId, UniqueFd> namespaces;
  const auto own = procfs_.netns(Pid{static_cast<std::uint32_t>(getpid())});
  for (const auto& [pid, space] : live_) {
    const auto ns = procfs_.netns(pid);
    if (!ns || ns == own || namespaces.contains(*ns)) continue;
    if (UniqueFd fd = procfs_.open_netns(pid); fd.valid()) namespaces.emplace(*ns, std::move(fd));
  }
  std::vector<UniqueFd> others;
  for (auto& [id, fd] : namespaces) others.push_back(std::move(fd));
  return others;
}

}  // namespace sockleak
