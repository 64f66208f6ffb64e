// The processes that are watched: put into the kernel side's table, and known here with the address space that each has.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/handle.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "process/procfs.hpp"

namespace sockleak {

class TargetTable {
 public:
  /// `map`: the kernel side's table.
  void use(int map) { map_ = map; }

  /// `joined`: it may hold sockets from before that; 0 = at the attach. Nothing happens if the kernel side has it already.
  Result<void> add(Pid pid, KernelTime joined = {});
  void add_children(Pid pid);
  /// The kernel side has given it an address space.
  void set(Pid pid, AddressSpaceId space);
  /// It has left its address space, which is returned if nobody else is in it.
  std::optional<AddressSpaceId> release(Pid pid);

  [[nodiscard]] const std::map<Pid, AddressSpaceId>& live() const { return live_; }
  [[nodiscard]] bool contains(Pid pid) const { return live_.contains(pid); }
  /// The network namespaces they are in, but for ours.
  [[nodiscard]] std::vector<UniqueFd> other_namespaces() const;
  /// All of them, ours too.
  [[nodiscard]] std::set<NetnsId> namespaces() const;

 private:
  int map_ = -1;
  Procfs procfs_;
  std::map<Pid, AddressSpaceId> live_;
  std::map<AddressSpaceId, std::size_t> users_;
  std::uint32_t next_ = 1;
};

}  // namespace sockleak
