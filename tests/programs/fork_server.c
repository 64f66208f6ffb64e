// A server that forks for each request, one after the other: each child opens a socket and closes it, but for every tenth,
// which ends with it open. Children have their parent's code, so what is known of one serves them all.
//   fork_server [--children N]      200
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kForgetEvery = 10 };

__attribute__((noipa)) static int dial(void) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) err(70, "socket");
  return fd;
}

__attribute__((noipa)) static void serve(int number) {
  const int fd = dial();
  if (number % kForgetEvery != 0 && close(fd) != 0) err(70, "close");
  __asm__ volatile("" : : : "memory");
}

int main(int argc, char** argv) {
  const int children = argc == 3 && strcmp(argv[1], "--children") == 0 ? atoi(argv[2]) : 200;
  for (int i = 1; i <= children; ++i) {
    const pid_t child = fork();
    if (child < 0) err(70, "fork");
    if (child == 0) {
      serve(i);
      _exit(0);
    }
    if (waitpid(child, NULL, 0) != child) err(70, "waitpid");
  }
  printf("{\"program\":\"fork_server\",\"created\":%d,\"leaked\":%d}\n", children, children / kForgetEvery);
  return 0;
}
