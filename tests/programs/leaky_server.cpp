// The server of scripts/demo: takes orders over TCP in a small pool of threads and asks the warehouse, another TCP
// service, to reserve the goods. When the goods are out of stock, WarehouseClient::reserve() returns early and
// forgets to close its connection: the descriptor stays open and the socket in CLOSE_WAIT, one per refused order.
// The warehouse is a thread of this process, so that the demo needs nothing else. Runs until it is killed.
// First line on stdout: {"port":N,"function":"...","file":"...","line":N}, the port to use and the
// call in the function that leaks.
#include <arpa/inet.h>
#include <err.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

static bool repaired = false;

static int open_stream_socket() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) err(70, "socket");
  return fd;
}

struct Listener {
  int fd = -1;
  sockaddr_in address{};
};

static Listener listen_on_loopback() {
  Listener listener{.fd = open_stream_socket()};
  listener.address.sin_family = AF_INET;
  listener.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof listener.address;
  auto* address = reinterpret_cast<sockaddr*>(&listener.address);
  if (::bind(listener.fd, address, length) != 0 || ::listen(listener.fd, 64) != 0 ||
      ::getsockname(listener.fd, address, &length) != 0)
    err(70, "listen");
  return listener;
}

// Up to the newline, which is left out; nullopt at the end of the stream.
static std::optional<std::string> read_line(int fd) {
  std::string line;
  for (char byte = 0; ::read(fd, &byte, 1) == 1;) {
    if (byte == '\n') return line;
    line.push_back(byte);
  }
  return std::nullopt;
}

static void write_line(int fd, std::string line) {
  line.push_back('\n');
  // A peer that has gone away is no concern of ours: the next read says so.
  if (::send(fd, line.data(), line.size(), MSG_NOSIGNAL) < 0) return;
}

struct Order {
  std::string item;
  std::string quantity;
};

static std::optional<Order> parse_order(const std::string& line) {
  const auto first = line.find(' ');
  const auto second = line.find(' ', first + 1);
  if (first == std::string::npos || second == std::string::npos || line.substr(0, first) != "ORDER") return {};
  return Order{line.substr(first + 1, second - first - 1), line.substr(second + 1)};
}

// The other service: one question per connection, hangs up after its answer.
static void run_warehouse(int listener) {
  for (;;) {
    const int client = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) err(70, "warehouse: accept");
    const auto item = read_line(client);
    if (item) write_line(client, *item == "unicorn" ? "out of stock" : "reserved");
    ::close(client);
  }
}

class WarehouseClient {
 public:
  explicit WarehouseClient(const sockaddr_in& address) : address_(address) {}

  static constexpr int kLeakLine = __LINE__ + 2;
  bool reserve(const Order& order) const {
    const int fd = dial();
    write_line(fd, order.item);
    const auto answer = read_line(fd);
    if (answer != "reserved") {
      if (repaired) ::close(fd);
      return false;  // the leak
    }
    ::close(fd);
    return true;
  }

 private:
  [[nodiscard]] int dial() const {
    const int fd = open_stream_socket();
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address_), sizeof address_) != 0) err(70, "warehouse");
    return fd;
  }

  sockaddr_in address_;
};

class OrderService {
 public:
  explicit OrderService(const sockaddr_in& warehouse) : warehouse_(warehouse) {}
  [[nodiscard]] std::string place(const std::string& request) const {
    const auto order = parse_order(request);
    if (!order) return "what?";
    return warehouse_.reserve(*order) ? "accepted" : "sorry, no " + order->item;
  }

 private:
  WarehouseClient warehouse_;
};

// Connections waiting for a worker.
class Counter {
 public:
  void put(int fd) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(fd);
    arrived_.notify_one();
  }
  int take() {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return !waiting_.empty(); });
    const int fd = waiting_.front();
    waiting_.pop_front();
    return fd;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<int> waiting_;
};

static void serve_customer(const OrderService& orders, int fd) {
  while (const auto request = read_line(fd)) write_line(fd, orders.place(*request));
  ::close(fd);
}

static void run_worker(const OrderService& orders, Counter& counter) {
  for (;;) serve_customer(orders, counter.take());
}

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) repaired = repaired || std::strcmp(argv[i], "--repaired") == 0;

  const Listener warehouse = listen_on_loopback();
  std::thread(run_warehouse, warehouse.fd).detach();
  const OrderService orders(warehouse.address);
  Counter counter;
  std::vector<std::thread> workers;
  for (int i = 0; i < 4; ++i) workers.emplace_back([&] { run_worker(orders, counter); });

  const Listener shop = listen_on_loopback();
  std::printf("{\"port\":%d,\"function\":\"WarehouseClient::reserve\",\"file\":\"leaky_server.cpp\",\"line\":%d}\n",
              ntohs(shop.address.sin_port), WarehouseClient::kLeakLine);
  std::fflush(stdout);
  for (;;) {
    const int customer = ::accept4(shop.fd, nullptr, nullptr, SOCK_CLOEXEC);
    if (customer < 0) err(70, "accept");
    counter.put(customer);
  }
}
