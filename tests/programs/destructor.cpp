// A C++ client whose class owns a connection, with a destructor that forgets close() once the peer has hung up: the
// early return was meant to skip the goodbye only. The peer is a thread of the same process and closes well.
#include <arpa/inet.h>
#include <err.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

constexpr int kSubscriptions = 18;
constexpr int kHangUpEvery = 3;

// A place in this file; AT() notes it on the very line of the call, so the truth cannot drift from the source.
struct Place {
  const char* function = "";
  int line = 0;
  int count = 0;
};
static Place opened;
static Place closed;
#define AT(place, call) ((place).function = __PRETTY_FUNCTION__, (place).line = __LINE__, ++(place).count, (call))

static bool repaired = false;

class Subscription {
 public:
  Subscription(const sockaddr_in& address, char topic) {
    fd_ = AT(opened, ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (fd_ < 0 || ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) err(70, "connect");
    if (::write(fd_, &topic, 1) != 1) err(70, "subscribe");
  }
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;

  ~Subscription() {
    if (peer_gone_) {
      if (repaired && ::close(fd_) != 0) err(70, "close");
      return;  // the leak
    }
    if (::write(fd_, "q", 1) != 1) err(70, "goodbye");
    if (AT(closed, ::close(fd_)) != 0) err(70, "close");
  }

  void receive() {
    char news = 0;
    peer_gone_ = ::read(fd_, &news, 1) == 0;
  }

 private:
  int fd_ = -1;
  bool peer_gone_ = false;
};

// A news agency that hangs up on topic 'x' and sends one byte on every other topic.
static void serve(int listener) {
  for (int i = 0; i < kSubscriptions; ++i) {
    const int client = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    char topic = 0;
    if (client < 0 || ::read(client, &topic, 1) != 1) err(70, "serve");
    char goodbye = 0;
    if (topic != 'x' && (::write(client, "n", 1) != 1 || ::read(client, &goodbye, 1) != 1)) err(70, "serve");
    if (::close(client) != 0) err(70, "close");
  }
}

class Reader {
 public:
  explicit Reader(const sockaddr_in& address) : address_(address) {}
  void subscribe(char topic) {
    subscriptions_.push_back(std::make_unique<Subscription>(address_, topic));
    subscriptions_.back()->receive();
    subscriptions_.pop_back();
  }

 private:
  sockaddr_in address_;
  std::vector<std::unique_ptr<Subscription>> subscriptions_;
};

int main(int argc, char** argv) {
  const char* truth_path = nullptr;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--repaired") == 0) repaired = true;
    if (std::strcmp(argv[i], "--truth") == 0 && i + 1 < argc) truth_path = argv[++i];
  }

  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0 || ::bind(listener, generic, length) != 0 || ::listen(listener, 8) != 0 ||
      ::getsockname(listener, generic, &length) != 0)
    err(70, "listen");
  std::thread server(serve, listener);

  Reader reader(address);
  for (int i = 0; i < kSubscriptions; ++i) reader.subscribe(i % kHangUpEvery == 0 ? 'x' : 'n');
  server.join();
  if (::close(listener) != 0) err(70, "close");

  std::FILE* truth = truth_path == nullptr ? stdout : std::fopen(truth_path, "w");
  if (truth == nullptr) err(70, "%s", truth_path);
  std::fprintf(truth,
               "{\"program\":\"destructor\",\"leaked\":%d,\"created\":%d,\"origin\":\"connect\",\"sockets_created\":%d,"
               "\"created_at\":{\"file\":\"destructor.cpp\",\"line\":%d,\"function\":\"%s\"},"
               "\"closed_at\":[{\"file\":\"destructor.cpp\",\"line\":%d,\"function\":\"%s\",\"count\":%d}]}\n",
               repaired ? 0 : kSubscriptions / kHangUpEvery, opened.count, 1 + 2 * kSubscriptions, opened.line,
               opened.function, closed.line, closed.function, closed.count);
  return std::fclose(truth) == 0 ? 0 : 70;
}
