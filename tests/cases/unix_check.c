// LEAK under check, whether of twelve unix connections to one peer every one is forgotten or two of three are closed:
// leaking always is not milder than leaking sometimes. The commonest leak of its kind, of clients of D-Bus, docker.sock
// or varlink, leaks always.
//   sockleak check -- unix_check 1    LEAK  12 of 12 sockets never closed, opened by bus(); exit status 1
//   sockleak check -- unix_check 3    LEAK  4 of 12; exit status 1
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static socklen_t length;

__attribute__((noinline)) static int bus(void) {
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);  // opened here
  if (connect(fd, (struct sockaddr*)&address, length) != 0) exit(3);
  return fd;
}

int main(int argc, char** argv) {
  int every = argc > 1 ? atoi(argv[1]) : 1, listener = socket(AF_UNIX, SOCK_STREAM, 0);
  snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "unix_check.%d", getpid());  // abstract: leaves no file
  length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address.sun_path + 1));
  if (bind(listener, (struct sockaddr*)&address, length) || listen(listener, 64)) return 2;
  for (int i = 0; i < 12; i++) {
    int client = bus(), server = accept(listener, NULL, NULL);
    if (i % every) close(client);
    close(server);
  }
  close(listener);
  return 0;
}
