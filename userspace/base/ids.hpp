// Strong identities. A pid alone names nothing for long (pids are reused), so a process is pid + start time; a
// socket is its cookie (unique per boot); stacks and modules are indices into their stores.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace sockleak {

/// An integer that cannot be confused with another kind of integer.
template <typename Tag, typename Rep>
struct StrongId {
  Rep value{};
  friend constexpr auto operator<=>(StrongId, StrongId) = default;
};

using Pid = StrongId<struct PidTag, std::uint32_t>;  // a process (tgid) or thread (tid) number, initial pid namespace
using Fd = StrongId<struct FdTag, std::int32_t>;
using SocketId = StrongId<struct SocketTag, std::uint64_t>;  // socket cookie; 0 = unknown
using NetnsId = StrongId<struct NetnsTag, std::uint32_t>;    // inode of the network namespace
using StackHash = StrongId<struct StackHashTag, std::uint64_t>;  // the kernel side's name of a stack; 0 = none
using StackId = StrongId<struct StackTag, std::uint32_t>;        // index in StackStore
using ModuleId = StrongId<struct ModuleTag, std::uint32_t>;      // index in ModuleStore
using AddressSpaceId = StrongId<struct AsidTag, std::uint32_t>;

/// No stack: always index 0 of every StackStore.
inline constexpr StackId kNoStack{0};

struct ProcessId {
  Pid pid;
  std::uint64_t start_ns = 0;  // boot-time ns; 0 = unknown
  friend constexpr auto operator<=>(const ProcessId&, const ProcessId&) = default;
};

}  // namespace sockleak

template <typename Tag, typename Rep>
struct std::hash<sockleak::StrongId<Tag, Rep>> {
  std::size_t operator()(sockleak::StrongId<Tag, Rep> id) const noexcept { return std::hash<Rep>{}(id.value); }
};

template <>
struct std::hash<sockleak::ProcessId> {
  std::size_t operator()(const sockleak::ProcessId& id) const noexcept {
    return std::hash<std::uint64_t>{}(id.start_ns * 0x9E3779B97F4A7C15ULL ^ id.pid.value);
  }
};
