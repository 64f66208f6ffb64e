#include "app/doctor_probes.hpp"

#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "act/diag_socket.hpp"
#include "act/iterator_destroy.hpp"
#include "act/orphan_trial.hpp"
#include "base/handle.hpp"
#include "base/text.hpp"
#include "scan/kernel_walk.hpp"
#include "scan/namespaces.hpp"

namespace sockleak {
namespace {

Feature scan_iterators() {
  const auto walk = KernelWalk::open();
  Feature feature{"scan", "BPF iterators", walk.has_value(), false, {}, {}};
  if (walk) return feature;
  feature.detail = walk.error().message() + ": sock_diag and /proc are used, which show less than half of the causes";
  feature.remedy = walk.error().hint;
  return feature;
}

Feature sock_diag(Protocol protocol) {
  const std::string name = std::string("sock_diag of ") + to_string(protocol);
  auto diag = act::DiagSocket::open();
  const auto dump = diag ? diag->dump(Family::kInet, protocol) : tl::unexpected<Error>(diag.error());
  Feature feature{"scan", name, dump && dump->supported, false, {}, {}};
  if (feature.present) return feature;
  feature.detail = (dump ? "this kernel has none" : dump.error().message()) +
                   std::string(": without BPF such sockets are not listed, and with it none can be destroyed by it");
  feature.remedy = protocol == Protocol::kTcp ? "load the module tcp_diag, or use a kernel with CONFIG_INET_TCP_DIAG"
                                              : "load the module udp_diag, or use a kernel with CONFIG_INET_UDP_DIAG";
  return feature;
}

Feature other_namespaces() {
  const NetnsHandles doors = find_network_namespaces("/proc");
  const auto refused = visit_namespaces(doors, [](const NetnsHandle&) {});
  Feature feature{"scan", "other network namespaces", refused.empty() && doors.hidden == 0, false, {}, {}};
  if (feature.present) {
    feature.detail = counted(doors.list.size(), "network namespace", "network namespaces") + " in all";
  } else if (!refused.empty()) {
    feature.detail = counted(refused.size(), "network namespace", "network namespaces") +
                     " cannot be entered: of their sockets only those with a descriptor are listed, and none destroyed";
    feature.remedy = "needs CAP_SYS_ADMIN: run as root, for example with sudo";
  } else {
    feature.detail = "of " + counted(doors.hidden, "process", "processes") +
                     " nothing can be seen: what they hold, and sockets of namespaces that only they are in, may be missing";
    feature.remedy = "needs CAP_SYS_PTRACE, /proc without hidepid, and no security policy that forbids it";
  }
  return feature;
}

/// Slots of rings are found by the operations of a ring of our own.
Feature io_uring() {
  io_uring_params parameters{};
  const UniqueFd ring(static_cast<int>(::syscall(SYS_io_uring_setup, 1, &parameters)));
  const std::string why = ring.valid() ? "" : std::strerror(errno);
  return {"scan", "io_uring", ring.valid(), false,
          ring.valid() ? "" : why + ": sockets that only an io_uring slot keeps have no known cause",
          ring.valid() ? "" : "kernel.io_uring_disabled = 0, and no seccomp filter that forbids it"};
}

Feature pidfd_getfd() {
  const UniqueFd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  const UniqueFd copy(self.valid() ? static_cast<int>(::syscall(SYS_pidfd_getfd, self.get(), self.get(), 0)) : -1);
  const std::string why = copy.valid() ? "" : std::strerror(errno);
  return {"destroy", "pidfd_getfd", copy.valid(), false,
          copy.valid() ? "" : why + ": --shutdown and --stop-process cannot prove who holds a socket, and refuse",
          copy.valid() ? "" : "use Linux 5.6 or later, and no seccomp filter that forbids it"};
}

/// "Seccomp: 2" of proc(5): a filter of a container runtime or a service manager; it may forbid what it likes.
Feature seccomp() {
  const std::string line = line_with("/proc/self/status", "Seccomp:");
  const bool filtered = line.ends_with('2');
  return {"container", "no seccomp filter", !filtered, false,
          filtered ? "a filter may refuse bpf(), setns(), pidfd_getfd() or perf_event_open(), whatever the privileges" : "",
          filtered ? "run outside, or with the runtime's --security-opt seccomp=unconfined" : ""};
}

/// Asks for a connection that cannot be, with a cookie that no socket gets: ENOENT is the answer of a kernel that could.
Feature sock_destroy() {
  Feature feature{"destroy", "SOCK_DESTROY", false, false, {}, {}};
  act::SocketFacts nobody;
  nobody.id = SocketId{~std::uint64_t{1}};
  nobody.addresses.protocol = Protocol::kTcp;
  nobody.addresses.local = {Family::kInet, {127, 0, 0, 1}, 1};
  nobody.addresses.remote = {Family::kInet, {127, 0, 0, 1}, 2};
  const act::SocketFacts* const asked = &nobody;
  auto diag = act::DiagSocket::open();
  const auto answer = diag ? diag->destroy(std::span(&asked, 1)) : tl::unexpected<Error>(diag.error());
  if (!answer) {
    feature.detail = answer.error().message();
    feature.remedy = answer.error().hint;
  } else if (answer->front() == EPERM || answer->front() == EACCES) {
    feature.detail = "it may not be tried, nor used: nothing can be destroyed";
    feature.remedy = "needs CAP_NET_ADMIN: run as root, for example with sudo";
  } else if (answer->front() == ENOENT) {
    feature.present = true;
  } else {
    feature.detail = "nothing can be destroyed; --shutdown and --stop-process work";
    feature.remedy = "use a kernel with CONFIG_INET_DIAG_DESTROY=y";
  }
  return feature;
}

Feature bpf_sock_destroy() {
  const auto able = act::destroy_through_iterators({});
  Feature feature{"destroy", "bpf_sock_destroy", able.has_value(), false, {}, {}};
  if (able) return feature;
  feature.detail = able.error().message() + ": of several sockets at one address SOCK_DESTROY reaches only one";
  feature.remedy = able.error().hint;
  return feature;
}

Feature orphans() {
  const auto die = act::orphans_die();
  Feature feature{"destroy", "SOCK_DESTROY of orphans", die && *die, false, {}, {}};
  if (!die) {
    feature.detail = die.error().message() + ": what its owner has closed is left alone";
    feature.remedy = die.error().hint;
  } else if (!*die) {
    feature.detail = "this kernel would keep them forever, so they are left alone; they end by themselves";
    feature.remedy = "use a kernel with Linux commit bac76cf89816 (6.12, or its stable updates)";
  }
  return feature;
}

}  // namespace

std::vector<Feature> probe_scan_and_destroy() {
  std::vector<Feature> features{seccomp(),          scan_iterators(), sock_diag(Protocol::kTcp), sock_diag(Protocol::kUdp),
                                other_namespaces(), io_uring(),       pidfd_getfd(),             sock_destroy()};
  if (features.back().present) features.insert(features.end() - 1, bpf_sock_destroy());
  if (features.back().present) features.push_back(orphans());
  return features;
}

}  // namespace sockleak
