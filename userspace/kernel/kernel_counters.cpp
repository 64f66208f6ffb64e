#include "kernel/kernel_counters.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <array>
#include <utility>
#include <vector>

#include "stack/unwind_rule.hpp"

namespace sockleak {

std::uint64_t kernel_counter(int map, std::uint32_t index) {
  const int cpus = libbpf_num_possible_cpus();
  std::vector<std::uint64_t> values(cpus > 0 ? static_cast<std::size_t>(cpus) : 1);
  if (bpf_map_lookup_elem(map, &index, values.data()) != 0) return 0;
  std::uint64_t sum = 0;
  for (const std::uint64_t value : values) sum += value;
  return sum;
}

Counters kernel_losses(int map) {
  constexpr std::array kMeanings{
      std::pair{Counter::events_lost, SL_COUNTER_EVENT_RING_FULL},
      std::pair{Counter::stacks_lost, SL_COUNTER_STACK_RING_FULL},
      std::pair{Counter::sockets_untracked, SL_COUNTER_STORAGE_FULL},
      std::pair{Counter::processes_untracked, SL_COUNTER_TARGETS_FULL},
      std::pair{Counter::stack_table_full, SL_COUNTER_SEEN_FULL},
      std::pair{Counter::stacks_unreadable, SL_COUNTER_WALK_READ_FAILED},
      std::pair{Counter::stacks_insane, SL_COUNTER_WALK_INSANE},
      std::pair{Counter::stacks_contended, SL_COUNTER_WALK_CONTENDED},
      std::pair{Counter::stacks_too_deep, SL_COUNTER_WALK_DEPTH},
      std::pair{Counter::accepts_without_cookie, SL_COUNTER_ACCEPT_WITHOUT_COOKIE},
      std::pair{Counter::compat_tasks, SL_COUNTER_COMPAT_TASK},
      std::pair{Counter::hand_overs_cut, SL_COUNTER_HAND_OVERS_CUT},
      std::pair{Counter::python_stacks_broken, SL_COUNTER_PYTHON_BROKEN},
      std::pair{Counter::python_names_lost, SL_COUNTER_PYTHON_LOST},
      std::pair{Counter::goroutines_lost, SL_COUNTER_GOROUTINES_LOST},
  };
  Counters losses;
  for (const auto& [counter, index] : kMeanings) losses.add(counter, kernel_counter(map, index));
  return losses;
}

}  // namespace sockleak
