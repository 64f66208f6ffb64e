// Calls getppid() at the end of many random paths through every kind of frame that compilers make.
// subject SEED PATHS
#include <alloca.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <utility>

namespace {

std::uint64_t random_state = 1;
volatile long sink = 0;

std::uint32_t next_random() {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return static_cast<std::uint32_t>(random_state >> 32);
}

[[gnu::noinline]] long descend(int depth);

[[gnu::noinline]] long plain(int depth) { return descend(depth - 1) + 1; }

[[gnu::noinline]] long many_registers(int depth) {
  const long a = sink, b = a + depth, c = b * 3, d = c ^ a, e = d + b, f = e * c;
  const long below = descend(depth - 1);
  return a + b * c + d * e + f + below;
}

[[gnu::noinline]] long variable_size(int depth) {
  const std::size_t size = 16 + next_random() % 700;
  auto* bytes = static_cast<volatile char*>(alloca(size));
  bytes[size - 1] = 1;
  return descend(depth - 1) + bytes[size - 1];
}

[[gnu::noinline]] long aligned_locals(int depth) {
  alignas(64) volatile long words[8] = {depth};
  return descend(depth - 1) + words[0];
}

[[gnu::noinline]] long aligned_and_variable(int depth) {
  alignas(128) volatile long words[16] = {depth};
  auto* bytes = static_cast<volatile char*>(alloca(1 + next_random() % 300));
  bytes[0] = 1;
  return descend(depth - 1) + words[0] + bytes[0];
}

[[gnu::noinline]] long sum(int count, ...) {
  va_list arguments;
  va_start(arguments, count);
  const int depth = va_arg(arguments, int);
  const double weight = va_arg(arguments, double);
  va_end(arguments);
  return descend(depth - 1) + static_cast<long>(weight);
}
[[gnu::noinline]] long variadic(int depth) { return sum(2, depth, 1.5) + 1; }

[[gnu::noinline]] long big_frame(int depth) {
  volatile char bytes[3000];
  bytes[depth] = 1;
  return descend(depth - 1) + bytes[depth];
}

[[gnu::noinline]] long lambda(int depth) {
  long local = sink;
  const std::function<long(int)> call = [&local](int below) { return descend(below) + local; };
  return call(depth - 1) + 1;
}

struct Shape {
  virtual ~Shape() = default;
  virtual long visit(int depth) = 0;
};
struct Round final : Shape {
  [[gnu::noinline]] long visit(int depth) override { return descend(depth - 1) + 2; }
};
struct Square final : Shape {
  [[gnu::noinline]] long visit(int depth) override { return descend(depth - 1) + sink; }
};
[[gnu::noinline]] long virtual_call(int depth) {
  std::unique_ptr<Shape> shape;
  if (next_random() % 2 == 0) {
    shape = std::make_unique<Round>();
  } else {
    shape = std::make_unique<Square>();
  }
  return shape->visit(depth) + 1;
}

// Through a frame of the C library.
int compare_depth = 0;
int compare(const void* a, const void* b) {
  if (const int depth = std::exchange(compare_depth, 0); depth != 0) sink = descend(depth - 1);
  return *static_cast<const int*>(a) - *static_cast<const int*>(b);
}
[[gnu::noinline]] long library_callback(int depth) {
  std::array<int, 2> values{2, 1};
  compare_depth = depth;
  std::qsort(values.data(), values.size(), sizeof(int), compare);
  return values[0];
}

// A call that ends its function: the return address belongs to the next one.
[[noreturn, gnu::noinline]] void leave(int depth, jmp_buf& back) {
  sink = descend(depth - 1);
  longjmp(back, 1);
}
[[gnu::noinline]] void never_returns(int depth, jmp_buf& back) { leave(depth, back); }
[[gnu::noinline]] long last_instruction_is_a_call(int depth) {
  jmp_buf back;
  if (setjmp(back) == 0) never_returns(depth, back);
  return 1;
}

int signal_depth = 0;
void on_signal(int) {
  const int depth = signal_depth;
  sink = descend(depth - 1);
}
[[gnu::noinline]] long raised_signal(int depth) {
  signal_depth = depth;
  raise(SIGUSR1);
  return 1;
}
[[gnu::noinline]] long trapped_signal(int depth) {
  signal_depth = depth;
  asm volatile("int3" ::: "memory");
  return sink + 1;
}

#if defined(__cpp_exceptions)
[[gnu::noinline]] long in_handler(int depth) {
  try {
    if (depth != 0) throw depth;
  } catch (int below) {
    return descend(below - 1) + 1;
  }
  return 0;
}

struct AtUnwinding {
  int depth;
  ~AtUnwinding() { sink = descend(depth - 1); }
};
[[gnu::noinline]] void throw_through(int depth) {
  const AtUnwinding guard{depth};
  throw depth;
}
[[gnu::noinline]] long in_landing_pad(int depth) {
  try {
    throw_through(depth);
  } catch (int) {
    return 1;
  }
  return 0;
}
#endif

using Path = long (*)(int);
constexpr std::array kPaths{
    plain,           many_registers, variable_size,    aligned_locals,
    aligned_and_variable, variadic,  big_frame,        lambda,
    virtual_call,    library_callback, last_instruction_is_a_call, raised_signal,
    trapped_signal,
#if defined(__cpp_exceptions)
    in_handler,      in_landing_pad,
#endif
};

long descend(int depth) {
  if (depth <= 0) {
    if (next_random() % 16 == 0) close(socket(AF_INET, SOCK_STREAM, 0));
    return getppid();
  }
  Path path = kPaths[next_random() % kPaths.size()];
  return path(depth) + 1;
}

void* in_thread(void* depth) {
  sink = descend(*static_cast<int*>(depth));
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  random_state = 0x9E3779B97F4A7C15u * (std::strtoull(argv[1], nullptr, 10) + 1);
  const long paths = std::strtol(argv[2], nullptr, 10);
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_NODEFER;
  sigaction(SIGUSR1, &action, nullptr);
  sigaction(SIGTRAP, &action, nullptr);
  constexpr std::array kDepths{5, 15, 30, 60};
  for (long i = 0; i < paths; ++i) {
    int depth = kDepths[next_random() % kDepths.size()];
    pthread_t thread;
    if (i % 50 == 49 && pthread_create(&thread, nullptr, in_thread, &depth) == 0) {
      pthread_join(thread, nullptr);
    } else {
      sink = descend(depth);
    }
  }
  return 0;
}
