#include "act/iterator_destroy.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "abi/destroy_wire.h"
#include "base/handle.hpp"
#include "base/log.hpp"
#include "sockleak_destroy_bpf.skel.h"

namespace sockleak::act {
namespace {

using Skeleton = CPtr<sockleak_destroy_bpf, &sockleak_destroy_bpf::destroy>;
using Link = CPtr<bpf_link, &bpf_link__destroy>;

int log_libbpf(libbpf_print_level, const char* format, va_list arguments) {
  std::array<char, 1024> line{};
  if (std::vsnprintf(line.data(), line.size(), format, arguments) > 0) log::debug(line.data());
  return 0;
}

[[nodiscard]] bool walk(const bpf_program* program) {
  const Link link(bpf_program__attach_iter(program, nullptr));
  if (!link) return false;
  const UniqueFd iterator(bpf_iter_create(bpf_link__fd(link.get())));
  if (iterator.get() < 0) return false;
  std::array<char, 256> nothing{};
  ssize_t got = 0;
  do {
    got = ::read(iterator.get(), nothing.data(), nothing.size());
  } while (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)));
  return got == 0;
}

}  // namespace

Result<std::vector<int>> destroy_through_iterators(std::span<const SocketFacts* const> sockets) {
  const auto cannot = [] {
    return fail_os(ErrorKind::kCannotTrace, "cannot use bpf_sock_destroy", "needs Linux 6.5, CAP_BPF and CAP_PERFMON");
  };
  libbpf_set_print(log_libbpf);
  const Skeleton skeleton(sockleak_destroy_bpf::open());
  if (!skeleton) return cannot();
  bpf_map__set_max_entries(skeleton->maps.sl_doomed, static_cast<__u32>(std::max<std::size_t>(sockets.size(), 1)));
  if (sockleak_destroy_bpf::load(skeleton.get()) != 0) return cannot();
  const int doomed = bpf_map__fd(skeleton->maps.sl_doomed);
  for (const SocketFacts* socket : sockets) {
    const sl_doomed entry{SL_NOT_MET};
    if (bpf_map_update_elem(doomed, &socket->id.value, &entry, BPF_ANY) != 0) return cannot();
  }
  for (const bpf_program* program : {skeleton->progs.sl_destroy_tcp, skeleton->progs.sl_destroy_udp}) {
    if (!walk(program)) return cannot();
  }
  std::vector<int> answers;
  for (const SocketFacts* socket : sockets) {
    sl_doomed entry{SL_NOT_MET};
    bpf_map_lookup_elem(doomed, &socket->id.value, &entry);
    answers.push_back(entry.answer == SL_NOT_MET ? ENOENT : entry.answer == SL_CHANGED ? ESTALE : entry.answer);
  }
  return answers;
}

}  // namespace sockleak::act
