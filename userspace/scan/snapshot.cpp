#include "scan/snapshot.hpp"

namespace sockleak {
namespace {

[[nodiscard]] bool end_came(TcpState state) {
  return state == TcpState::kCloseWait || state == TcpState::kLastAck || state == TcpState::kClosing;
}

void add_holders(FilterSubject& subject, const std::vector<ScanHolder>& holders,
                 const std::function<std::string_view(Pid)>& cgroup_of) {
  subject.holders.reserve(holders.size());
  for (const ScanHolder& holder : holders) {
    subject.holders.push_back(
        {holder.pid, holder.tid, holder.comm, cgroup_of ? cgroup_of(holder.pid) : std::string_view()});
  }
}

}  // namespace

std::optional<std::uint32_t> unread(const ScanSocket& socket) {
  if (!socket.queue_known || socket.state == TcpState::kListen) return std::nullopt;
  const bool end = socket.addresses.protocol == Protocol::kTcp && end_came(socket.state) && socket.receive_queue > 0;
  return socket.receive_queue - (end ? 1 : 0);
}

std::optional<bool> end_read(const ScanSocket& socket) {
  if (!socket.queue_known || socket.addresses.protocol != Protocol::kTcp || !end_came(socket.state)) return std::nullopt;
  return socket.receive_queue == 0;
}

std::optional<Duration> dwell(const ScanSocket& socket) {
  return socket.state == TcpState::kCloseWait ? socket.since_peer : std::nullopt;
}

FilterSubject subject_of(const OtherSocket& socket, bool holders_known,
                         const std::function<std::string_view(Pid)>& cgroup_of) {
  FilterSubject subject;
  subject.socket = socket.cookie;
  subject.addresses.local.family = static_cast<Family>(socket.family);
  subject.protocol = socket.family == static_cast<std::uint16_t>(Family::kUnix) ? Protocol::kUnix : Protocol::kNone;
  subject.ownerless = false;
  subject.holders_known = holders_known;
  add_holders(subject, socket.holders, cgroup_of);
  return subject;
}

FilterSubject subject_of(const ScanSocket& socket, bool holders_known,
                         const std::function<std::string_view(Pid)>& cgroup_of) {
  FilterSubject subject;
  subject.socket = socket.cookie;
  subject.inode = socket.inode;
  subject.protocol = socket.addresses.protocol;
  subject.state = socket.state;
  subject.addresses = socket.addresses;
  if (socket.netns.value != 0) subject.netns = socket.netns;
  subject.at_least_old = socket.idle;
  subject.ownerless = socket.ownerless;
  subject.cause = to_string(socket.cause);
  subject.holders_known = holders_known;
  add_holders(subject, socket.holders, cgroup_of);
  return subject;
}

}  // namespace sockleak
