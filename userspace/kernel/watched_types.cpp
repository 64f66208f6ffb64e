#include "kernel/watched_types.hpp"

extern "C" {
#include "abi/config.h"
}

namespace sockleak {

std::uint32_t bits_of(const std::vector<Protocol>& types) {
  std::uint32_t bits = 0;
  for (const Protocol type : types) {
    if (type == Protocol::kTcp) bits |= SL_TYPE_TCP;
    if (type == Protocol::kUdp) bits |= SL_TYPE_UDP;
    if (type == Protocol::kMptcp) bits |= SL_TYPE_MPTCP;
    if (type == Protocol::kSctp) bits |= SL_TYPE_SCTP;
    if (type == Protocol::kRaw) bits |= SL_TYPE_RAW;
    if (type == Protocol::kIcmp) bits |= SL_TYPE_ICMP;
    if (type == Protocol::kUnix) bits |= SL_TYPE_UNIX;
  }
  return bits;
}

bool watches_unix(std::uint32_t types) { return types == 0 || (types & SL_TYPE_UNIX) != 0; }

}  // namespace sockleak
