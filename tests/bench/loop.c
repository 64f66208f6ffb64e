// The load of the benchmarks: socket calls in a tight loop, timed by itself.
//   loop connect N      N times connect() to its own listener on loopback, accept() and close() of both ends by two
//                       threads
//   loop socket N DEPTH N times socket() + close(), the calls DEPTH stack frames below main
//   loop syscall N      N times getppid(): what a program that is not traced pays
// Waits for a byte on stdin before it starts, repeats for every further byte, ends at end of file; prints
// nanoseconds per iteration after each. Compiled without frame pointers.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int listener;
static struct sockaddr_in address;

static void fatal(const char* what) {
  perror(what);
  exit(1);
}

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void* accept_all(void* unused) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) return unused;
    close(fd);
  }
}

// Resets instead of TIME_WAIT: a run must not use up the ephemeral ports.
static void connect_once(void) {
  const struct linger reset = {1, 0};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fatal("socket");
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
  if (connect(fd, (struct sockaddr*)&address, sizeof(address)) != 0) fatal("connect");
  close(fd);
}

static void socket_once(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fatal("socket");
  close(fd);
}

// Some locals, so that a frame has the size of an ordinary function's; not a tail call.
__attribute__((noinline, noclone)) static long deeper(int depth, long n) {
  volatile long local[8];
  local[depth & 7] = n;
  if (depth <= 0) {
    for (long i = 0; i < n; ++i) socket_once();
  } else {
    n = deeper(depth - 1, n);
  }
  return n + local[depth & 7] - n;
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const long n = atol(argv[2]);
  const int depth = argc > 3 ? atoi(argv[3]) : 0;
  pthread_t thread;
  char byte;
  if (strcmp(argv[1], "connect") == 0) {
    socklen_t length = sizeof(address);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (listener < 0 || bind(listener, (struct sockaddr*)&address, sizeof(address)) != 0 ||
        listen(listener, 1024) != 0 || getsockname(listener, (struct sockaddr*)&address, &length) != 0 ||
        pthread_create(&thread, NULL, accept_all, NULL) != 0) {
      fatal("listen");
    }
  }
  puts("ready");
  fflush(stdout);
  while (read(0, &byte, 1) == 1) {
    const double begin = now_ns();
    if (argv[1][0] == 'c') {
      for (long i = 0; i < n; ++i) connect_once();
    } else if (strcmp(argv[1], "socket") == 0) {
      deeper(depth, n);
    } else {
      for (long i = 0; i < n; ++i) syscall(SYS_getppid);
    }
    printf("%.1f\n", (now_ns() - begin) / (double)n);
    fflush(stdout);
  }
  return 0;
}
