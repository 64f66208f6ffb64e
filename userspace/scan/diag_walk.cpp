#include "scan/diag_walk.hpp"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <unordered_map>

#include "base/text.hpp"
#include "process/initial_namespaces.hpp"
#include "scan/descriptors.hpp"
#include "scan/namespaces.hpp"
#include "scan/settings.hpp"

namespace sockleak {
namespace {

using Directory = CPtr<DIR, &closedir>;
using NetlinkSocket = CPtr<mnl_socket, &mnl_socket_close>;

Duration clock_now(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

struct Listing {
  std::vector<ScanSocket>& sockets;
  Protocol protocol;
  NetnsId netns;
};

Endpoint endpoint(std::uint8_t family, const __be32 (&address)[4], __be16 port) {
  Endpoint out;
  out.family = static_cast<Family>(family);
  std::memcpy(out.address.data(), address, family == AF_INET ? 4 : 16);
  out.port = ntohs(port);
  return out;
}

/// Whether the upper-layer protocol of the socket is MPTCP.
int on_upper_layer(const nlattr* attribute, void* context) {
  if (mnl_attr_get_type(attribute) != INET_ULP_INFO_NAME) return MNL_CB_OK;
  const std::string_view name(static_cast<const char*>(mnl_attr_get_payload(attribute)),
                              mnl_attr_get_payload_len(attribute));
  static_cast<ScanSocket*>(context)->mptcp = name.substr(0, name.find('\0')) == "mptcp";
  return MNL_CB_OK;
}

int on_attribute(const nlattr* attribute, void* context) {
  ScanSocket& socket = *static_cast<ScanSocket*>(context);
  // Since Linux 5.4, and only to those who ask for INET_DIAG_INFO (net/ipv4/inet_diag.c, inet_sk_diag_fill).
  if (mnl_attr_get_type(attribute) == INET_DIAG_ULP_INFO) mnl_attr_parse_nested(attribute, on_upper_layer, &socket);
  if (mnl_attr_get_type(attribute) != INET_DIAG_INFO || socket.state == TcpState::kListen) return MNL_CB_OK;
  tcp_info info{};
  std::memcpy(&info, mnl_attr_get_payload(attribute), std::min<std::size_t>(mnl_attr_get_payload_len(attribute), sizeof(info)));
  socket.rx_bytes = info.tcpi_bytes_received;
  socket.tx_bytes = info.tcpi_bytes_acked;
  const std::uint32_t peer = std::min(info.tcpi_last_data_recv, info.tcpi_last_ack_recv);
  socket.since_peer = std::chrono::milliseconds(peer);
  socket.idle = std::chrono::milliseconds(std::min(info.tcpi_last_data_recv, info.tcpi_last_data_sent));
  return MNL_CB_OK;
}

int on_message(const nlmsghdr* header, void* context) {
  Listing& listing = *static_cast<Listing*>(context);
  if (mnl_nlmsg_get_payload_len(header) < sizeof(inet_diag_msg)) return MNL_CB_OK;
  inet_diag_msg message{};
  std::memcpy(&message, mnl_nlmsg_get_payload(header), sizeof(message));
  ScanSocket socket;
  socket.cookie = SocketId{message.id.idiag_cookie[0] | static_cast<std::uint64_t>(message.id.idiag_cookie[1]) << 32U};
  socket.inode = message.idiag_inode;
  // 13 is TCP_BOUND_INACTIVE (Linux 6.8): a CLOSE socket that has a port.
  const bool inactive = message.idiag_state > static_cast<std::uint8_t>(TcpState::kNewSynRecv);
  socket.state = inactive ? TcpState::kClose : static_cast<TcpState>(message.idiag_state);
  socket.addresses = {endpoint(message.idiag_family, message.id.idiag_src, message.id.idiag_sport),
                      endpoint(message.idiag_family, message.id.idiag_dst, message.id.idiag_dport), listing.protocol};
  socket.netns = listing.netns;
  socket.uid = message.idiag_uid;
  socket.interface = message.id.idiag_if;
  if (listing.protocol == Protocol::kTcp) {
    socket.mini = socket.state == TcpState::kTimeWait || socket.state == TcpState::kSynRecv ||
                  socket.state == TcpState::kNewSynRecv;
    socket.has_port = true;
    socket.blocks_port = socket.state == TcpState::kListen || inactive;
    // A closed socket is never ESTABLISHED or CLOSE_WAIT (tcp_close), so without an inode those are not accepted yet.
    const bool ending = socket.state == TcpState::kFinWait1 || socket.state == TcpState::kFinWait2 ||
                        socket.state == TcpState::kClosing || socket.state == TcpState::kLastAck;
    socket.has_socket = message.idiag_inode != 0;
    socket.dead = !socket.has_socket && ending;
    // The timer that ends FIN_WAIT2 without a socket is a TIME_WAIT entry's (inet_diag shows its substate).
    if (socket.state == TcpState::kFinWait2 && message.idiag_timer == 3) {
      socket.mini = true;
      socket.substate = TcpState::kFinWait2;
      socket.state = TcpState::kTimeWait;
    }
    if (socket.state == TcpState::kTimeWait) socket.time_wait_left = std::chrono::milliseconds(message.idiag_expires);
    if (socket.state == TcpState::kListen) {
      socket.ack_backlog = message.idiag_rqueue;
      socket.max_ack_backlog = message.idiag_wqueue;
    } else {
      socket.receive_queue = message.idiag_rqueue;
      socket.queue_known = !socket.mini;
      socket.send_queue = message.idiag_wqueue;
    }
  } else {
    socket.has_socket = message.idiag_inode != 0;
  }
  socket.has_file = socket.has_socket;
  if (listing.protocol == Protocol::kTcp) mnl_attr_parse(header, sizeof(inet_diag_msg), on_attribute, &socket);
  listing.sockets.push_back(std::move(socket));
  return MNL_CB_OK;
}

Result<void> dump(mnl_socket* netlink, std::uint8_t family, std::uint8_t protocol, Listing& listing) {
  alignas(nlmsghdr) std::array<char, 1024> request{};
  nlmsghdr* header = mnl_nlmsg_put_header(request.data());
  header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
  header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  auto* wanted = static_cast<inet_diag_req_v2*>(mnl_nlmsg_put_extra_header(header, sizeof(inet_diag_req_v2)));
  wanted->sdiag_family = family;
  wanted->sdiag_protocol = protocol;
  wanted->idiag_ext = 1U << (INET_DIAG_INFO - 1U);
  wanted->idiag_states = ~0U;
  if (mnl_socket_sendto(netlink, header, header->nlmsg_len) < 0) {
    return fail_os(ErrorKind::kCannotTrace, "cannot ask sock_diag");
  }
  std::vector<char> answer(64 * 1024);
  while (true) {
    const ssize_t n = mnl_socket_recvfrom(netlink, answer.data(), answer.size());
    if (n < 0) return fail_os(ErrorKind::kCannotTrace, "cannot read from sock_diag");
    const int more = mnl_cb_run(answer.data(), static_cast<std::size_t>(n), 0, 0, on_message, &listing);
    if (more < 0) return fail_os(ErrorKind::kCannotTrace, "sock_diag refuses");
    if (more == MNL_CB_STOP) return {};
  }
}

/// The inode of "socket:[123]"; 0 if it is something else. Nothing if it may not be read: that a directory opens (for
/// its owner) does not mean that its links can be followed (ptrace).
std::optional<std::uint64_t> socket_inode(int directory, const char* name) {
  std::array<char, 64> target{};
  const ssize_t n = readlinkat(directory, name, target.data(), target.size());
  if (n < 0 && (errno == EACCES || errno == EPERM)) return {};
  constexpr std::string_view kPrefix = "socket:[";
  const std::string_view text(target.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
  if (!text.starts_with(kPrefix)) return 0;
  std::uint64_t inode = 0;
  std::from_chars(text.data() + kPrefix.size(), text.data() + text.size(), inode);
  return inode;
}

std::optional<std::uint32_t> number_of(const char* name) {
  std::uint32_t number = 0;
  const char* end = name + std::strlen(name);
  const auto [stop, error] = std::from_chars(name, end, number);
  if (error != std::errc() || stop != end) return {};
  return number;
}

/// Whether the main thread has ended while others go on: state Z in /proc/PID/stat, behind the name in parentheses.
bool has_ended(const std::string& process) {
  const std::string stat = first_line(process + "/stat");
  const std::size_t name_end = stat.rfind(") ");
  return name_end != std::string::npos && name_end + 2 < stat.size() && stat[name_end + 2] == 'Z';
}

void find_holders(Snapshot& snapshot, std::vector<Pid>& seen) {
  std::unordered_map<std::uint64_t, std::size_t> by_inode;
  for (std::size_t i = 0; i < snapshot.sockets.size(); ++i) {
    if (snapshot.sockets[i].inode != 0) by_inode.emplace(snapshot.sockets[i].inode, i);
  }
  const Directory processes(opendir("/proc"));
  if (!processes) return;
  while (const dirent* process = readdir(processes.get())) {
    const auto pid = number_of(process->d_name);
    if (!pid || *pid == static_cast<std::uint32_t>(getpid())) continue;
    const std::string path = std::string("/proc/") + process->d_name;
    const Directory tasks(opendir((path + "/task").c_str()));
    bool visible = true;
    while (const dirent* task = tasks ? readdir(tasks.get()) : nullptr) {
      const auto tid = number_of(task->d_name);
      if (!tid) continue;
      const Directory files(opendir((path + "/task/" + task->d_name + "/fd").c_str()));
      if (!files) {
        visible = visible && errno != EACCES && errno != EPERM;
        break;
      }
      const std::string comm = first_line(path + "/comm");
      while (const dirent* file = readdir(files.get())) {
        const auto fd = number_of(file->d_name);
        if (!fd) continue;
        const auto inode = socket_inode(dirfd(files.get()), file->d_name);
        if (!inode) {
          visible = false;
          break;
        }
        const auto at = *inode == 0 ? by_inode.end() : by_inode.find(*inode);
        if (at == by_inode.end()) continue;
        std::vector<ScanHolder>& holders = snapshot.sockets[at->second].holders;
        const auto same = [&](const ScanHolder& other) {
          return other.pid.value == *pid && other.place.value == static_cast<std::int32_t>(*fd);
        };
        if (std::any_of(holders.begin(), holders.end(), same)) continue;  // threads share their table
        holders.push_back({Via::kDescriptor, Pid{*pid}, Pid{*tid}, Fd{static_cast<std::int32_t>(*fd)}, false,
                           *tid != *pid && has_ended(path), comm, 0});
      }
    }
    if (visible) {
      seen.push_back(Pid{*pid});
    } else {
      ++snapshot.hidden_processes;
    }
  }
}

/// Every TCP and UDP socket of the namespace this thread is in.
Result<void> list_sockets(const NetnsHandle& door, Snapshot& snapshot) {
  NetworkNamespace facts = read_settings(door.id);
  facts.name = door.name;
  facts.walked = true;
  snapshot.namespaces.push_back(std::move(facts));
  const NetlinkSocket netlink(mnl_socket_open(NETLINK_SOCK_DIAG));
  if (!netlink || mnl_socket_bind(netlink.get(), 0, MNL_SOCKET_AUTOPID) < 0) {
    return fail_os(ErrorKind::kCannotTrace, "cannot open sock_diag");
  }
  for (const std::uint8_t family : {std::uint8_t{AF_INET}, std::uint8_t{AF_INET6}}) {
    for (const auto& [number, protocol] : {std::pair(IPPROTO_TCP, Protocol::kTcp), std::pair(IPPROTO_UDP, Protocol::kUdp)}) {
      Listing listing{snapshot.sockets, protocol, door.id};
      auto ok = dump(netlink.get(), family, static_cast<std::uint8_t>(number), listing);
      if (ok) continue;
      // UDP's part of sock_diag may be missing (CONFIG_INET_UDP_DIAG).
      if (protocol == Protocol::kTcp) return ok;
      const std::string gap = "UDP sockets could not be listed: " + ok.error().message();
      if (std::find(snapshot.gaps.begin(), snapshot.gaps.end(), gap) == snapshot.gaps.end()) snapshot.gaps.push_back(gap);
    }
  }
  return {};
}

}  // namespace

Result<Snapshot> take_through_sock_diag(const ScanProgress& progress) {
  const Duration began = clock_now(CLOCK_MONOTONIC);
  Snapshot snapshot;
  const NetnsHandles doors = find_network_namespaces("/proc");
  if (doors.list.empty()) return fail(ErrorKind::kCannotTrace, "cannot tell the network namespace", "is /proc mounted?");
  std::optional<Error> broken;
  const auto refused = visit_namespaces(doors, [&](const NetnsHandle& door) {
    if (broken) return;
    if (auto ok = list_sockets(door, snapshot); !ok) broken = ok.error();
    progress("sockets", snapshot.sockets.size());
  });
  if (broken) return tl::unexpected<Error>(*broken);
  std::vector<Pid> seen;
  find_holders(snapshot, seen);
  progress("descriptors", snapshot.sockets.size());
  snapshot.descriptors = descriptor_use_in_proc(seen);
  snapshot.outer_processes = !in_initial_pid_namespace();
  if (snapshot.outer_processes) snapshot.gaps.emplace_back("processes outside this pid namespace");
  snapshot.gaps.emplace_back("sockets that ss cannot show, and ports blocked by connected sockets that called bind() "
                             "(needs BPF: root, or CAP_BPF and CAP_PERFMON)");
  snapshot.gaps.emplace_back("sockets of families that are not judged, such as unix and netlink (needs BPF)");
  if (!refused.empty()) {
    snapshot.gaps.push_back("the sockets of " + counted(refused.size(), "other network namespace",
                                                        "other network namespaces") + " (needs CAP_SYS_ADMIN)");
  }
  if (doors.hidden > 0) snapshot.gaps.push_back(unread_processes("network namespaces", doors.hidden));
  if (snapshot.hidden_processes > 0) {
    snapshot.gaps.push_back(unread_processes("descriptors", snapshot.hidden_processes));
  }
  snapshot.taken = clock_now(CLOCK_BOOTTIME);
  snapshot.seconds = seconds(clock_now(CLOCK_MONOTONIC) - began);
  return snapshot;
}

}  // namespace sockleak
