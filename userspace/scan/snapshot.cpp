#include "scan/snapshot.hpp"

namespace sockleak {

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
  subject.holders.reserve(socket.holders.size());
  for (const ScanHolder& holder : socket.holders) {
    subject.holders.push_back(
        {holder.pid, holder.tid, holder.comm, cgroup_of ? cgroup_of(holder.pid) : std::string_view()});
  }
  return subject;
}

}  // namespace sockleak
