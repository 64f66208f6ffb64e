// A client that forgets the connection when the backend refuses, over every kind of native call path. One source for
// all ways to build and start it. The backend is a thread of the same process and closes well.
//   native [--through PATH] [--repaired] [--wait] [--truth FILE]
// --wait: says "ready", begins when a line comes on stdin, says "done", ends with stdin.
#define _GNU_SOURCE  // accept4
#include <arpa/inet.h>
#include <err.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { kRequests = 20, kRefuseEvery = 4 };

// A place in this file; AT() notes it on the very line of the call, so the truth cannot drift from the source.
struct place {
  const char* function;
  int line, count;
};
#define AT(place, call) \
  ((void)((place).function = __func__), (void)((place).line = __LINE__), (void)(place).count++, (call))

#define SEPARATE __attribute__((noipa)) static
#define NO_TAIL_CALL __asm__ volatile("" : : : "memory")

static bool repaired;
static struct place opened, answered, closed;
static struct sockaddr_in backend;

static void* serve_backend(void* argument) {
  const int listener = *(const int*)argument;
  for (int i = 0; i < kRequests; ++i) {
    const int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    char request = 0;
    if (client < 0 || read(client, &request, 1) != 1) err(70, "backend");
    if (write(client, request == 'R' ? "N" : "Y", 1) != 1) err(70, "backend: write");
    if (close(client) != 0) err(70, "backend: close");
  }
  return NULL;
}

// Returns -1 if the backend refused.
SEPARATE int open_backend(char request) {
  const int fd = AT(opened, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd < 0 || connect(fd, (const struct sockaddr*)&backend, sizeof backend) != 0) err(70, "connect");
  char answer = 0;
  if (write(fd, &request, 1) != 1 || AT(answered, read(fd, &answer, 1)) != 1) err(70, "exchange");
  if (answer != 'Y') {
    if (repaired && close(fd) != 0) err(70, "close");
    return -1;  // the leak
  }
  return fd;
}

SEPARATE int realigned(char request) {
  _Alignas(64) volatile char local[64] = {request};
  const int fd = open_backend(local[0]);
  local[1] = 1;
  return fd;
}

__attribute__((noipa, force_align_arg_pointer)) static int forced(char request) {
  const int fd = open_backend(request);
  NO_TAIL_CALL;
  return fd;
}

SEPARATE int variable(char request) {
  static size_t calls;
  volatile char* local = __builtin_alloca(16 + 48 * (++calls % 5));
  local[0] = request;
  const int fd = open_backend(local[0]);
  local[1] = 1;
  return fd;
}

// What Go keeps its goroutine in: a pointer right below the thread pointer, to the bounds of its stack. More than a page
// lies between this frame and the next. In turn bounds that hold everything, and bounds around this frame alone, as the
// words that HotSpot's interpreter has there.
struct bounds {
  unsigned long lowest, end, guards[2];
};
static _Thread_local const struct bounds* looks_like_a_goroutine;

SEPARATE int misleading(char request) {
  static size_t calls;
  static struct bounds bounds;
  volatile char local[5000];
  local[0] = request;
  const unsigned long here = (unsigned long)local & ~7ul;
  bounds = ++calls % 2 ? (struct bounds){8, ~7ul, {0}} : (struct bounds){here - (1ul << 28), here + 64, {here, here}};
  looks_like_a_goroutine = &bounds;
  if ((char*)(&looks_like_a_goroutine + 1) != (char*)__builtin_thread_pointer()) errx(70, "not below the thread pointer");
  const int fd = open_backend(local[0]);
  looks_like_a_goroutine = NULL;
  local[1] = 1;
  return fd;
}

// 2 MB of stack.
SEPARATE int deep(char request, int below) {
  volatile char local[400];
  local[0] = request;
  const int fd = below == 0 ? open_backend(local[0]) : deep(local[0], below - 1);
  local[1] = 1;
  return fd;
}

static volatile char to_ask;
static volatile int got;

static void on_signal(int number) {
  (void)number;
  got = open_backend(to_ask);
}

SEPARATE int by_signal(char request) {
  to_ask = request;
  if (raise(SIGUSR1) != 0) err(70, "raise");
  return got;
}

static void handle_signal(bool on_its_own_stack) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = on_its_own_stack ? SA_ONSTACK : 0};
  const size_t size = 1 << 16;
  const stack_t stack = {.ss_sp = malloc(size), .ss_size = size};
  if (stack.ss_sp == NULL || (on_its_own_stack && sigaltstack(&stack, NULL) != 0) ||
      sigaction(SIGUSR1, &action, NULL) != 0)
    err(70, "sigaction");
}

static const char* through = "plain";
static bool goes(const char* path) { return strcmp(through, path) == 0; }

SEPARATE int dial(char request) {
  int fd = -1;
  if (goes("realigned")) fd = realigned(request);
  else if (goes("forced")) fd = forced(request);
  else if (goes("variable")) fd = variable(request);
  else if (goes("misleading")) fd = misleading(request);
  else if (goes("deep")) fd = deep(request, 4800);
  else if (goes("signal") || goes("sigaltstack")) fd = by_signal(request);
  else fd = open_backend(request);
  NO_TAIL_CALL;
  return fd;
}

SEPARATE bool place_order(int number) {
  const int fd = dial(number % kRefuseEvery == 0 ? 'R' : 'O');
  if (fd < 0) return false;
  if (AT(closed, close(fd)) != 0) err(70, "close");
  return true;
}

static void print_place(FILE* file, const char* what, const struct place* place) {
  fprintf(file, "{\"what\":\"%s\",\"file\":\"native.c\",\"line\":%d,\"function\":\"%s\",\"count\":%d}", what, place->line,
          place->function, place->count);
}

static void print_truth(FILE* file, int refused) {
  fprintf(file, "{\"program\":\"native\",\"pid\":%d,\"leaked\":%d,\"created\":%d,\"origin\":\"connect\",\"sockets_created\":%d",
          (int)getpid(), repaired ? 0 : refused, opened.count, 1 + 2 * kRequests);
  fprintf(file, ",\"created_at\":");
  print_place(file, "socket", &opened);
  fprintf(file, ",\"touched_at\":");
  print_place(file, "recv → data", &answered);
  fprintf(file, ",\"closed_at\":[");
  print_place(file, "close", &closed);
  fprintf(file, "]}\n");
}

int main(int argc, char** argv) {
  const char* truth_path = NULL;
  bool wait = false;
  for (int i = 1; i < argc; ++i) {
    if (strcmp(argv[i], "--repaired") == 0) repaired = true;
    if (strcmp(argv[i], "--wait") == 0) wait = true;
    if (strcmp(argv[i], "--truth") == 0 && i + 1 < argc) truth_path = argv[++i];
    if (strcmp(argv[i], "--through") == 0 && i + 1 < argc) through = argv[++i];
  }
  handle_signal(goes("sigaltstack"));
  if (wait && (puts("ready") < 0 || fflush(stdout) != 0 || getchar() == EOF)) err(70, "wait");

  socklen_t length = sizeof backend;
  backend = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0 || bind(listener, (struct sockaddr*)&backend, sizeof backend) != 0 || listen(listener, 8) != 0 ||
      getsockname(listener, (struct sockaddr*)&backend, &length) != 0)
    err(70, "listen");
  pthread_t thread;
  if (pthread_create(&thread, NULL, serve_backend, &listener) != 0) errx(70, "pthread_create");
  int refused = 0;
  for (int i = 0; i < kRequests; ++i) refused += !place_order(i);
  pthread_join(thread, NULL);
  if (close(listener) != 0) err(70, "close");

  FILE* truth = truth_path == NULL ? stdout : fopen(truth_path, "w");
  if (truth == NULL) err(70, "%s", truth_path);
  print_truth(truth, refused);
  if (fclose(truth) != 0) return 70;
  if (wait) {
    if (puts("done") < 0 || fflush(stdout) != 0) err(70, "done");
    while (getchar() != EOF) {
    }
  }
  return 0;
}
