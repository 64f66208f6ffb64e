#include "app/doctor_probes.hpp"

#include <cerrno>

#include "act/diag_socket.hpp"
#include "act/iterator_destroy.hpp"
#include "act/orphan_trial.hpp"
#include "scan/kernel_walk.hpp"

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
  std::vector<Feature> features{scan_iterators(), sock_destroy()};
  if (features.back().present) features.insert(features.end() - 1, bpf_sock_destroy());
  if (features.back().present) features.push_back(orphans());
  return features;
}

}  // namespace sockleak
