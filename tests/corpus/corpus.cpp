// The corpus' C++ programs: destructors that close, and those that do not.
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include "frame.h"

namespace {

class Connection {
 public:
  explicit Connection(int fd) : fd_(fd) {}
  Connection(Connection&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  Connection& operator=(Connection&&) = delete;
  ~Connection() {
    if (fd_ >= 0) close(fd_);
  }
  void request(const char* line) const {
    if (ask(fd_, line) <= 0) throw std::runtime_error("the peer has gone");
  }
  int release() { return std::exchange(fd_, -1); }
  int fd() const { return fd_; }

 private:
  int fd_;
};

// leak: the destructor "knows" that a connection in trouble has been closed already
class Careless {
 public:
  Careless() : fd_(dial(peer_port)) {}  // OPENS destructor
  Careless(const Careless&) = delete;
  Careless& operator=(const Careless&) = delete;
  ~Careless() {
    if (broken_) {
      leaked(1);
      return;
    }
    close(fd_);
  }
  void request(const char* line) { broken_ = ask(fd_, line) <= 0; }

 private:
  int fd_;
  bool broken_ = false;
};
void destructor() {
  const unsigned n = draw(3, 12);
  ready(0);
  while (next_op() >= 0) {
    Careless one;
    one.request("bye");
    if (!one_in(n)) continue;
    one.request("echo");
  }
}

// leak: two objects that own each other
struct Session {
  explicit Session(int fd) : connection(fd) {}
  Connection connection;
  std::shared_ptr<Session> peer;
};
void shared_cycle() {
  const unsigned n = draw(3, 12);
  ready(0);
  while (next_op() >= 0) {
    auto session = std::make_shared<Session>(dial(peer_port));  // OPENS shared_cycle
    session->connection.request("echo");
    if (!one_in(n)) continue;
    session->peer = session;
    leaked(1);
  }
}

// leak: release() on the path of the exception
void exception_path() {
  const unsigned n = draw(3, 10);
  ready(0);
  while (next_op() >= 0) {
    Connection one(dial(peer_port));  // OPENS exception_path
    try {
      one.request(one_in(n) ? "reset" : "echo");
    } catch (const std::runtime_error&) {
      leaked(1);
      one.release();
    }
  }
}

// innocent: everything by destructors, also when it throws
void raii() {
  ready(0);
  while (next_op() >= 0) try {
      Connection one(dial(peer_port));  // OPENS raii
      one.request(one_in(5) ? "reset" : "echo");
    } catch (const std::runtime_error&) {
      rest(10);
    }
}

// innocent: a pool whose connections return by themselves
class Pool {
 public:
  void use(const std::string& request) {
    std::unique_lock lock(mutex_);
    auto one = idle_.empty() ? nullptr : std::move(idle_.back());
    if (one) idle_.pop_back();
    lock.unlock();
    if (!one) one = std::make_unique<Connection>(dial(peer_port));  // OPENS raii_pool
    one->request(request.c_str());
    lock.lock();
    idle_.push_back(std::move(one));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Connection>> idle_;
};
void raii_pool() {
  static Pool pool;
  const unsigned most = draw(3, 8);
  ready(0);
  while (next_op() >= 0) {
    if (!one_in(4)) continue;
    for (unsigned i = 0, n = draw(1, most * level() / 2); i < n; i++)
      std::thread([milliseconds = draw(60, 160)] { pool.use("slow " + std::to_string(milliseconds)); }).detach();
  }
  _exit(0);  // the threads use the pool still
}

}  // namespace

extern const scenario cpp_scenarios[] = {{"destructor", destructor},         {"shared_cycle", shared_cycle},
                                         {"exception_path", exception_path}, {"raii", raii},
                                         {"raii_pool", raii_pool},           {nullptr, nullptr}};
