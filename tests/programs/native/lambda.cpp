// As native.c, but through what C++ compilers inline and generate: lambdas behind std::function, templates, and functions
// that are no frames of their own.
//   lambda [--repaired] --truth FILE
#include <arpa/inet.h>
#include <err.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <functional>
#include <thread>

namespace orders {

constexpr int kRequests = 20, kRefuseEvery = 4;

// A place in this file; AT() notes it on the very line of the call, so the truth cannot drift from the source.
struct Place {
  const char* function = "";
  int line = 0, count = 0;
};
Place opened, answered, closed;
#define AT(place, name, call) ((place).function = (name), (place).line = __LINE__, ++(place).count, (call))

bool repaired = false;
sockaddr_in backend{};

// Whatever a call does last becomes a jump and leaves no frame to find.
inline void no_tail_call() { asm volatile("" : : : "memory"); }

[[gnu::always_inline]] inline int open_stream() {
  return AT(opened, "orders::open_stream", ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

[[gnu::always_inline]] inline char answer_on(int fd) {
  char answer = 0;
  if (AT(answered, "orders::answer_on", ::read(fd, &answer, 1)) != 1) err(70, "read");
  return answer;
}

/// Calls `use` with a connection, if the backend has not refused.
template <typename Use>
[[gnu::noinline]] bool with_connection(const std::function<int(char)>& dial, char request, Use use) {
  const int fd = dial(request);
  if (fd < 0) return false;
  use(fd);
  no_tail_call();
  return true;
}

class Orders {
 public:
  [[gnu::noinline]] bool place(int number) const {
    const std::function<int(char)> dial = [](char request) {
      const int fd = open_stream();
      if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&backend), sizeof backend) != 0) err(70, "connect");
      if (::write(fd, &request, 1) != 1) err(70, "write");
      if (answer_on(fd) == 'Y') return fd;
      if (repaired && ::close(fd) != 0) err(70, "close");
      return -1;  // the leak
    };
    return with_connection(dial, number % kRefuseEvery == 0 ? 'R' : 'O', [](int fd) {
      if (AT(closed, "orders::Orders::place", ::close(fd)) != 0) err(70, "close");
    });
  }
};

void serve(int listener) {
  for (int i = 0; i < kRequests; ++i) {
    const int client = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    char request = 0;
    if (client < 0 || ::read(client, &request, 1) != 1) err(70, "backend");
    if (::write(client, request == 'R' ? "N" : "Y", 1) != 1 || ::close(client) != 0) err(70, "backend");
  }
}

void print_place(std::FILE* file, const char* what, const Place& place) {
  std::fprintf(file, R"({"what":"%s","file":"lambda.cpp","line":%d,"function":"%s","count":%d})", what, place.line,
               place.function, place.count);
}

}  // namespace orders

int main(int argc, char** argv) {
  using namespace orders;
  const char* truth_path = "/dev/stdout";
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--repaired") == 0) repaired = true;
    if (std::strcmp(argv[i], "--truth") == 0 && i + 1 < argc) truth_path = argv[++i];
  }
  socklen_t length = sizeof backend;
  backend.sin_family = AF_INET;
  backend.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* generic = reinterpret_cast<sockaddr*>(&backend);
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0 || ::bind(listener, generic, length) != 0 || ::listen(listener, 8) != 0 ||
      ::getsockname(listener, generic, &length) != 0)
    err(70, "listen");
  std::thread server(serve, listener);
  int refused = 0;
  for (int i = 0; i < kRequests; ++i) refused += Orders().place(i) ? 0 : 1;
  server.join();
  if (::close(listener) != 0) err(70, "close");

  std::FILE* truth = std::fopen(truth_path, "w");
  if (truth == nullptr) err(70, "%s", truth_path);
  std::fprintf(truth, R"({"program":"lambda","pid":%d,"leaked":%d,"created":%d,"origin":"connect","sockets_created":%d)",
               static_cast<int>(::getpid()), repaired ? 0 : refused, opened.count, 1 + 2 * kRequests);
  std::fputs(",\"created_at\":", truth);
  print_place(truth, "socket", opened);
  std::fputs(",\"touched_at\":", truth);
  print_place(truth, "recv → data", answered);
  std::fputs(",\"closed_at\":[", truth);
  print_place(truth, "close", closed);
  std::fputs("]}\n", truth);
  return std::fclose(truth) == 0 ? 0 : 70;
}
