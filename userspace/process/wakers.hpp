// What the kernel side has to know of this kernel to tell who waits on a socket and when it was used last: the addresses
// of the functions that wake those who wait, and how long a jiffy is.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace sockleak {

/// Into `wakers`, in the order of sl_config.wakers (bpf/config.h). Those that are not found, or hidden (kernel.kptr_restrict),
/// stay 0: whoever waits is then unknown. (Numbers as the kernel's headers call them.)
void find_wakers(std::span<unsigned long long> wakers, const std::string& symbols = "/proc/kallsyms");

/// CONFIG_HZ is in no file that is always there, but the coarse clocks tick with the jiffies.
[[nodiscard]] std::uint32_t tick_ns();

}  // namespace sockleak
