// Opens sockets at full speed from its first instruction, over 40 call paths of different depth, to its own listener,
// and closes all but every 1000th: a tracer that compiles unwind rules on demand meets every path before it is ready
// for it.
//   cold_start [--count N] [--truth FILE]                       N sockets (20000), then the end
//   cold_start --control FD --signal FD [--count N] [--truth FILE]
//     runs on and on. Writes 'r' to the signal pipe when it is in full swing and goes on without waiting; the first
//     byte it finds on the control pipe is the mark ("from here on you are watched"); N sockets after the mark it
//     writes 'd' and sits idle, everything still open, until the control pipe is closed.
#define _GNU_SOURCE  // accept4
#include <arpa/inet.h>
#include <err.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { kPaths = 40, kLeakEvery = 1000, kInFullSwing = 500 };

static struct sockaddr_in address = {.sin_family = AF_INET};
static int listener;
static int created_line;

// Work after the call keeps it from becoming a jump, which would take the caller's frame off the stack.
#define NO_TAIL_CALL(n) __asm__ volatile("" : : "i"(n) : "memory")
// noipa: no inlining, no clones, no folding of functions that look alike.
#define SEPARATE __attribute__((noipa)) static

SEPARATE int dial(void) {
  const int fd = (created_line = __LINE__, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd < 0 || connect(fd, (const struct sockaddr*)&address, sizeof address) != 0) err(70, "connect");
  return fd;
}

// Every path has its own frame sizes, so no two share a rule, and goes `depth` levels deep.
#define PATH(n)                                                  \
  SEPARATE int leaf_##n(void) {                                  \
    char frame[16 + 8 * n];                                      \
    __asm__ volatile("" : : "r"(frame) : "memory");              \
    const int fd = dial();                                       \
    NO_TAIL_CALL(n);                                             \
    return fd;                                                   \
  }                                                              \
  SEPARATE int path_##n(int depth) {                             \
    const int fd = depth > 0 ? path_##n(depth - 1) : leaf_##n(); \
    NO_TAIL_CALL(n);                                             \
    return fd;                                                   \
  }
// clang-format off
#define FOR_EACH_PATH(X)                                                                                            \
  X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19)     \
  X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31) X(32) X(33) X(34) X(35) X(36) X(37) X(38) \
  X(39)
// clang-format on
FOR_EACH_PATH(PATH)
#define PATH_POINTER(n) path_##n,
static int (*const paths[kPaths])(int) = {FOR_EACH_PATH(PATH_POINTER)};

struct tally {
  long created[kPaths], leaked[kPaths];
};
static struct tally total, since_mark;

static void one_connection(long sequence, bool marked) {
  // The thousands shift the turn, so that the leaks spread over the paths.
  const int path = (int)((sequence + sequence / kLeakEvery) % kPaths);
  const bool leak = sequence % kLeakEvery == kLeakEvery - 1;
  const int fd = paths[path](path % 20);
  const int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (peer < 0) err(70, "accept");
  if (!leak) {
    // Reset instead of FIN: no TIME_WAIT, so ports never run out however long this goes on.
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) != 0 || close(fd) != 0) err(70, "close");
  }
  if (close(peer) != 0) err(70, "close");
  total.created[path]++;
  total.leaked[path] += leak;
  since_mark.created[path] += marked;
  since_mark.leaked[path] += marked && leak;
}

static void print_tally(FILE* out, const char* name, const struct tally* tally) {
  fprintf(out, ",\"%s\":[", name);
  for (int i = 0; i < kPaths; ++i)
    fprintf(out, "%s{\"function\":\"leaf_%d\",\"depth\":%d,\"created\":%ld,\"leaked\":%ld}", i == 0 ? "" : ",", i,
            i % 20, tally->created[i], tally->leaked[i]);
  fputc(']', out);
}

static void write_truth(const char* path, long sequence, long mark) {
  FILE* out = path == NULL ? stdout : fopen(path, "w");
  if (out == NULL) err(70, "%s", path);
  fprintf(out,
          "{\"program\":\"cold_start\",\"leaked\":%ld,\"sockets_created\":%ld,\"mark\":%ld,"
          "\"created_at\":{\"file\":\"cold_start.c\",\"line\":%d,\"function\":\"dial\"}",
          sequence / kLeakEvery, 1 + 2 * sequence, mark, created_line);
  print_tally(out, "paths", &total);
  print_tally(out, "since_mark", &since_mark);
  fputs("}\n", out);
  if (fclose(out) != 0) err(70, "the truth");
}

int main(int argc, char** argv) {
  const char* truth_path = NULL;
  long count = 20000;
  int control = -1, signal = -1;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "--truth") == 0) truth_path = argv[i + 1];
    if (strcmp(argv[i], "--count") == 0) count = atol(argv[i + 1]);
    if (strcmp(argv[i], "--control") == 0) control = atoi(argv[i + 1]);
    if (strcmp(argv[i], "--signal") == 0) signal = atoi(argv[i + 1]);
  }

  socklen_t length = sizeof address;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0 || bind(listener, (struct sockaddr*)&address, length) != 0 || listen(listener, 8) != 0 ||
      getsockname(listener, (struct sockaddr*)&address, &length) != 0)
    err(70, "listen");

  long sequence = 0, mark = control < 0 ? 0 : -1;
  char byte = 0;
  while (mark < 0 || sequence < mark + count) {
    one_connection(sequence++, mark >= 0);
    if (sequence == kInFullSwing && signal >= 0 && write(signal, "r", 1) != 1) err(70, "signal");
    struct pollfd watch = {.fd = control, .events = POLLIN};
    if (mark < 0 && poll(&watch, 1, 0) == 1) {
      if (read(control, &byte, 1) != 1) errx(70, "the control pipe was closed before the mark");
      mark = sequence;
    }
  }
  write_truth(truth_path, sequence, mark);
  if (signal >= 0) {
    if (write(signal, "d", 1) != 1) err(70, "signal");
    // idle until the other side has looked at the open sockets
    while (read(control, &byte, 1) > 0) {
    }
  }
  if (close(listener) != 0) err(70, "close");
  return 0;
}
