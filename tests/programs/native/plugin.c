// A library of which several builds differ in one function's name and frame, and in nothing else: loaded one after the
// other at the same address, their stacks differ only in what was mapped there at the time.
#include "plugin.h"

#include <err.h>
#include <sys/socket.h>
#include <unistd.h>

#define NO_TAIL_CALL __asm__ volatile("" : : : "memory")

__attribute__((noipa)) static int NAME(struct place* opened, bool keeps) {
  volatile char local[FRAME];
  local[0] = 1;
  const int fd = AT(*opened, socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd < 0) err(70, "socket");
  if (!keeps && close(fd) != 0) err(70, "close");
  local[1] = local[0];
  return fd;
}

int open_in_plugin(struct place* opened, bool keeps) {
  const int fd = NAME(opened, keeps);
  NO_TAIL_CALL;
  return fd;
}
