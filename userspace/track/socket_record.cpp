// How a socket came to be and changed hands, as the report prints it.
#include "track/socket_record.hpp"

#include <algorithm>

namespace sockleak {

const char* to_string(Origin origin) {
  switch (origin) {
    case Origin::kSocket:
      return "socket";
    case Origin::kConnect:
      return "connect";
    case Origin::kAccept:
      return "accept";
    case Origin::kSocketPair:
      return "socketpair";
    case Origin::kBeforeAttach:
      return "before-attach";
  }
  return "socket";
}

const char* to_string(HandOver how) {
  switch (how) {
    case HandOver::kNone:
      return "";
    case HandOver::kExec:
      return "exec";
    case HandOver::kFork:
      return "fork";
    case HandOver::kForkExec:
      return "fork-exec";
    case HandOver::kScmRights:
      return "scm_rights";
    case HandOver::kPidfdGetfd:
      return "pidfd_getfd";
    case HandOver::kSharedFiles:
      return "shared-files";
    case HandOver::kUnknown:
      return "unknown";
  }
  return "unknown";
}

std::optional<KernelTime> fin_of(const SocketRecord& socket, const SocketFacts& facts) {
  if (socket.state != TcpState::kCloseWait) return std::nullopt;
  if (!socket.close_wait_since) return std::nullopt;
  KernelTime since = *socket.close_wait_since;
  if (facts.last_segment.ns != 0) since = std::min(since, facts.last_segment);
  return since;
}

}  // namespace sockleak
