// A server around one epoll loop that takes a connection out of the set on EPOLLHUP and forgets to close it. Its
// clients are a thread of the same process; some of them reset the connection, which leaves the server's socket in
// TCP state CLOSE: neither ss nor the kernel's TCP table shows it any more, only the descriptor keeps it.
#define _GNU_SOURCE  // accept4
#include <arpa/inet.h>
#include <err.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { kConnections = 21, kResetEvery = 3 };

// A place in this file; AT() notes it on the very line of the call, so the truth cannot drift from the source.
struct place {
  const char* function;
  int line, count;
};
static struct place listening, accepted, closed;
#define AT(place, call) \
  ((void)((place).function = __func__), (void)((place).line = __LINE__), (void)(place).count++, (call))

static bool repaired;
static int hangups;

static void* run_clients(void* argument) {
  const struct sockaddr_in* address = argument;
  for (int i = 0; i < kConnections; ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr*)address, sizeof *address) != 0) err(70, "client: connect");
    char byte = 0;
    if (read(fd, &byte, 1) != 1) err(70, "client: no greeting");
    if (i % kResetEvery == 0) {
      const struct linger reset = {.l_onoff = 1, .l_linger = 0};
      if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) != 0) err(70, "client: linger");
    } else {
      if (write(fd, "?", 1) != 1) err(70, "client: write");
      // until the server closes
      while (read(fd, &byte, 1) > 0) {
      }
    }
    if (close(fd) != 0) err(70, "client: close");
  }
  return NULL;
}

static void greet(int epoll, int listener) {
  const int fd = AT(accepted, accept4(listener, NULL, NULL, SOCK_CLOEXEC));
  if (fd < 0 || write(fd, "!", 1) != 1) err(70, "greet");
  struct epoll_event interest = {.events = EPOLLIN, .data.fd = fd};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &interest) != 0) err(70, "epoll_ctl");
}

static void answer(int fd) {
  char request = 0;
  if (read(fd, &request, 1) != 1 || write(fd, ".", 1) != 1) err(70, "answer");
  if (AT(closed, close(fd)) != 0) err(70, "close");
}

static void on_event(int epoll, int listener, const struct epoll_event* event) {
  if (event->data.fd == listener) {
    greet(epoll, listener);
  } else if (event->events & EPOLLHUP) {
    if (epoll_ctl(epoll, EPOLL_CTL_DEL, event->data.fd, NULL) != 0) err(70, "epoll_ctl");
    hangups++;  // the leak
    if (repaired && close(event->data.fd) != 0) err(70, "close");
  } else {
    answer(event->data.fd);
  }
}

int main(int argc, char** argv) {
  const char* truth_path = NULL;
  for (int i = 1; i < argc; ++i) {
    if (strcmp(argv[i], "--repaired") == 0) repaired = true;
    if (strcmp(argv[i], "--truth") == 0 && i + 1 < argc) truth_path = argv[++i];
  }

  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof address;
  const int listener = AT(listening, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (listener < 0 || bind(listener, (struct sockaddr*)&address, sizeof address) != 0 || listen(listener, 32) != 0 ||
      getsockname(listener, (struct sockaddr*)&address, &length) != 0)
    err(70, "listen");
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event interest = {.events = EPOLLIN, .data.fd = listener};
  if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &interest) != 0) err(70, "epoll");
  pthread_t clients;
  if (pthread_create(&clients, NULL, run_clients, &address) != 0) errx(70, "pthread_create");

  while (closed.count + hangups < kConnections) {
    struct epoll_event events[8];
    const int ready = epoll_wait(epoll, events, 8, -1);
    if (ready < 0) err(70, "epoll_wait");
    for (int i = 0; i < ready; ++i) on_event(epoll, listener, &events[i]);
  }
  pthread_join(clients, NULL);
  if (close(epoll) != 0 || close(listener) != 0) err(70, "close");

  FILE* truth = truth_path == NULL ? stdout : fopen(truth_path, "w");
  if (truth == NULL) err(70, "%s", truth_path);
  fprintf(truth,
          "{\"program\":\"accept_epoll\",\"leaked\":%d,\"created\":%d,\"origin\":\"accept\",\"sockets_created\":%d,"
          "\"created_at\":{\"file\":\"accept_epoll.c\",\"line\":%d,\"function\":\"%s\"},"
          "\"listener_created_at\":{\"file\":\"accept_epoll.c\",\"line\":%d,\"function\":\"%s\"},"
          "\"closed_at\":[{\"file\":\"accept_epoll.c\",\"line\":%d,\"function\":\"%s\",\"count\":%d}]}\n",
          repaired ? 0 : hangups, accepted.count, 1 + 2 * kConnections, accepted.line, accepted.function,
          listening.line, listening.function, closed.line, closed.function, closed.count);
  return fclose(truth) == 0 ? 0 : 70;
}
