// Opens and closes sockets in turn over call paths that a walk can tell apart by return addresses only: left() and
// right() have equal frames, so the stack pointer at socket() is the same; framed() walks through its frame pointer
// while its caller keeps changing that register. Leaks every 100th socket of right().
//   same_depth [--count N]      N sockets over each path (1000)
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { kLeakEvery = 100 };

#define SEPARATE __attribute__((noipa)) static
#define NO_TAIL_CALL __asm__ volatile("" : : : "memory")

SEPARATE int dial(void) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) err(70, "socket");
  return fd;
}

SEPARATE int left(void) {
  const int fd = dial();
  NO_TAIL_CALL;
  return fd;
}

SEPARATE int right(void) {
  const int fd = dial();
  NO_TAIL_CALL;
  return fd;
}

__attribute__((noipa, optimize("no-omit-frame-pointer"))) static int framed(int size) {
  volatile char* frame = __builtin_alloca((size_t)size);
  frame[0] = 1;
  const int fd = dial();
  frame[1] = 2;
  return fd;
}

int main(int argc, char** argv) {
  const long count = argc == 3 && strcmp(argv[1], "--count") == 0 ? atol(argv[2]) : 1000;
  long leaked = 0;
  for (long i = 0; i < count; ++i) {
    const int a = left(), b = right();
    if (close(a) != 0) err(70, "close");
    if (i % kLeakEvery == kLeakEvery - 1)
      ++leaked;
    else if (close(b) != 0)
      err(70, "close");
    const int c = framed(16 + 64 * (int)(i % 7));  // the frame's size differs from call to call
    if (close(c) != 0) err(70, "close");
  }
  printf("{\"program\":\"same_depth\",\"paths\":{\"left\":{\"created\":%ld,\"leaked\":0},"
         "\"right\":{\"created\":%ld,\"leaked\":%ld},\"framed\":{\"created\":%ld,\"leaked\":0}}}\n",
         count, count, leaked, count);
  return 0;
}
