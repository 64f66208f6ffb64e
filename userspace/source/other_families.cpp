#include "source/other_families.hpp"

#include <bpf/bpf.h>

#include <functional>

namespace sockleak {
namespace {

void for_each_held(int map, const std::function<void(std::uint64_t)>& visit) {
  std::uint64_t key = 0, next = 0;
  for (bool more = bpf_map_get_next_key(map, nullptr, &next) == 0; more;) {
    key = next;
    more = bpf_map_get_next_key(map, &key, &next) == 0;  // before it may be deleted
    visit(key);
  }
}

}  // namespace

void forget_held_others(const Programs& programs) {
  const int map = bpf_map__fd(programs->maps.sl_others);
  for_each_held(map, [map](std::uint64_t key) { bpf_map_delete_elem(map, &key); });
}

OtherFamilies count_others(const Programs& programs) {
  OtherFamilies others;
  const int held = bpf_map__fd(programs->maps.sl_others);
  for_each_held(held, [&](std::uint64_t key) {
    std::uint32_t family = 0;
    if (bpf_map_lookup_elem(held, &key, &family) == 0) ++others.held[static_cast<std::uint16_t>(family)];
  });
  for (std::uint32_t family = 0; family < bpf_map__max_entries(programs->maps.sl_others_left); ++family) {
    std::uint64_t count = 0;
    if (bpf_map_lookup_elem(bpf_map__fd(programs->maps.sl_others_left), &family, &count) == 0 && count != 0) {
      others.left[static_cast<std::uint16_t>(family)] = count;
    }
  }
  return others;
}

}  // namespace sockleak
