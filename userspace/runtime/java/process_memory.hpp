// The memory of a living process through process_vm_readv, which needs what ptrace needs.
#pragma once

#include <sys/uio.h>

#include "base/ids.hpp"
#include "runtime/java/target_memory.hpp"

namespace sockleak {

class ProcessMemory final : public TargetMemory {
 public:
  explicit ProcessMemory(Pid pid) : pid_(static_cast<pid_t>(pid.value)) {}

  [[nodiscard]] bool read(std::uint64_t address, std::span<std::byte> out) const override {
    const iovec to{.iov_base = out.data(), .iov_len = out.size()};
    const iovec from{.iov_base = reinterpret_cast<void*>(address), .iov_len = out.size()};
    return ::process_vm_readv(pid_, &to, 1, &from, 1, 0) == static_cast<ssize_t>(out.size());
  }

 private:
  pid_t pid_;
};

}  // namespace sockleak
