// Events per second through decode and track, on one core: what a replay costs, and what a live session costs user
// space beside the rings.
#include <benchmark/benchmark.h>

#include <cstring>
#include <vector>

#include "event/decode.hpp"
#include "stack/unwind_rule.hpp"
#include "track/tracker.hpp"

namespace sockleak {
namespace {

template <typename T>
T record(std::uint16_t type, std::uint64_t time) {
  T made{};
  made.header.size = sizeof(T);
  made.header.type = type;
  made.header.ktime_ns = time;
  made.header.tgid = 100;
  made.header.tid = 100;
  made.header.start_ns = 1;
  return made;
}

template <typename T>
void append(std::vector<std::byte>& bytes, const T& made) {
  const auto* begin = reinterpret_cast<const std::byte*>(&made);
  bytes.insert(bytes.end(), begin, begin + sizeof(T));
}

// A connection's life: created, established, closed; 64 open at a time.
std::vector<std::byte> lives(std::uint64_t sockets) {
  std::vector<std::byte> bytes;
  constexpr std::uint64_t kOpen = 64;
  for (std::uint64_t i = 1; i <= sockets + kOpen; ++i) {
    if (i <= sockets) {
      auto created = record<sl_socket_created>(SL_SOCKET_CREATED, i * 1000);
      created.cookie = i;
      created.stack = 1 + i % 40;
      created.stack_end = SL_WALK_COMPLETE;
      created.tuple.family = 2;
      created.tuple.protocol = 6;
      append(bytes, created);
      auto connected = record<sl_state_changed>(SL_STATE_CHANGED, i * 1000 + 300);
      connected.cookie = i;
      connected.old_state = 2;
      connected.new_state = 1;
      connected.tuple = created.tuple;
      append(bytes, connected);
    }
    if (i > kOpen) {
      auto closed = record<sl_socket_closed>(SL_SOCKET_CLOSED, i * 1000 + 600);
      closed.cookie = i - kOpen;
      closed.stack = 100 + i % 3;
      closed.how = SL_CLOSE_CALL;
      closed.state = 1;
      append(bytes, closed);
    }
  }
  return bytes;
}

void decode_and_track(benchmark::State& state) {
  const std::vector<std::byte> bytes = lives(100'000);
  StackStore stacks;
  for (std::uint64_t hash = 1; hash < 120; ++hash) {
    stacks.bind(StackHash{hash}, stacks.intern({{{ModuleId{1}, hash}}, WalkEnd::kComplete}));
  }
  std::int64_t events = 0;
  for ([[maybe_unused]] auto round : state) {
    Tracker tracker(stacks);
    for (std::size_t at = 0; at < bytes.size();) {
      sl_header header{};
      std::memcpy(&header, bytes.data() + at, sizeof(header));
      const Decoded decoded = decode(std::span(bytes).subspan(at, header.size));
      if (const Event* event = std::get_if<Event>(&decoded)) tracker.apply(*event);
      at += header.size;
      ++events;
    }
    benchmark::DoNotOptimize(tracker.totals());
  }
  state.SetItemsProcessed(events);
}
BENCHMARK(decode_and_track)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace sockleak

BENCHMARK_MAIN();
