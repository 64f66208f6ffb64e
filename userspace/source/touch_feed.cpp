#include "source/touch_feed.hpp"

#include <bpf/bpf.h>

#include <algorithm>
#include <string_view>

#include "source/marks.hpp"

namespace sockleak {

void TouchFeed::watch_all() {
  programs_.attach_touches();
  programs_->bss->sl_touch_mode = SL_TOUCHES_OF_ALL;
}

void TouchFeed::count_uses() {
  if (programs_->bss->sl_uses_from != 0) return;
  programs_.attach_touches();
  const auto& attached = programs_.attached();
  const auto counts = [&attached](std::string_view prefix) {
    return std::any_of(attached.begin(), attached.end(),
                       [&](const HookFact& fact) { return std::string_view(fact.hook).starts_with(prefix); });
  };
  const bool ipv4_only = counts("fexit/inet_recvmsg");
  if (!ipv4_only && !counts("tp_btf/sock_recv_length")) return;
  programs_->bss->sl_uses_of_ipv4 = ipv4_only ? 1 : 0;
  programs_->bss->sl_uses_from = now().ns;
}

void TouchFeed::suspect(std::span<const StackHash> makers, std::span<const SocketId> sockets) {
  programs_.attach_touches();
  const std::uint8_t yes = 1;
  const sl_touch none{};
  for (const StackHash hash : makers) {
    bpf_map_update_elem(bpf_map__fd(programs_->maps.sl_suspects), &hash.value, &yes, BPF_ANY);
  }
  for (const SocketId socket : sockets) {
    bpf_map_update_elem(bpf_map__fd(programs_->maps.sl_touches), &socket.value, &none, BPF_NOEXIST);
  }
  if (programs_->bss->sl_touch_mode == SL_TOUCHES_OF_NONE) programs_->bss->sl_touch_mode = SL_TOUCHES_OF_SUSPECTS;
}

void TouchFeed::read(const std::function<void(sl_socket_touched&)>& record) const {
  if (programs_->bss->sl_touch_mode == SL_TOUCHES_OF_NONE) return;
  const int touches = bpf_map__fd(programs_->maps.sl_touches);
  sl_socket_touched touched{};
  touched.header.size = sizeof(touched);
  touched.header.type = SL_SOCKET_TOUCHED;
  std::uint64_t cookie = 0, next = 0;
  // A socket that is closed while we go through the table makes us begin again: never more often than there are entries.
  std::uint32_t left = 2 * bpf_map__max_entries(programs_->maps.sl_touches);
  for (const std::uint64_t* at = nullptr; left > 0 && bpf_map_get_next_key(touches, at, &next) == 0; at = &cookie) {
    --left;
    cookie = next;
    if (bpf_map_lookup_elem(touches, &cookie, &touched.touch) != 0 || touched.touch.what == 0) continue;
    touched.cookie = cookie;
    record(touched);
  }
}

}  // namespace sockleak
