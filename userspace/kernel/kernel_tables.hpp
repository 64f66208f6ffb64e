// Reads the snapshot iterators: the kernel's own account of which tracked sockets exist and who holds them.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "base/handle.hpp"
#include "base/result.hpp"

namespace sockleak {

class KernelTables {
 public:
  using Record = std::function<void(std::span<const std::byte>)>;

  KernelTables() = default;
  /// The links' descriptors, borrowed. `unix_sockets` = -1: this kernel has no such iterator.
  KernelTables(int task_file, int tcp, int unix_sockets) : task_file_(task_file), tcp_(tcp), unix_(unix_sockets) {}

  /// Every descriptor of every process that refers to a tracked socket. False if it could not be read to the end.
  bool read_holders(const Record& record) const;
  /// Every tracked TCP socket of the network namespaces (our own is added), and every unix socket if they are listed.
  /// False as above.
  bool read_sockets(std::span<const UniqueFd> namespaces, const Record& record) const;

  /// The sockets, then the holders. False as above.
  bool read_all(std::span<const UniqueFd> namespaces, const Record& record) const;

  [[nodiscard]] bool lists_unix() const { return unix_ >= 0; }
  /// Every tracked unix socket likewise.
  bool read_unix(std::span<const UniqueFd> namespaces, const Record& record) const;

 private:
  int task_file_ = -1;
  int tcp_ = -1;
  int unix_ = -1;
};

}  // namespace sockleak
