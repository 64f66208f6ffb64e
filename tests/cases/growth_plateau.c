// LEAK, found although the load stops long before the trace does: every third socket of ask() is never closed. Siblings
// live for a millisecond, these for the rest of the session; that nothing grows any more once nothing is opened must
// not take that back. Begins when a line comes on stdin.
//   sockleak trace -p PID -d 22s    LEAK  20 of 60 sockets never closed, opened by ask()
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

__attribute__((noinline)) static void ask(int forget) {
  struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_DGRAM, 0);  // opened here
  connect(fd, (struct sockaddr*)&peer, sizeof peer);
  if (!forget) close(fd);
}

int main(void) {
  getchar();
  // The load's own pace; nothing waits for it.
  for (int i = 0; i < 60; i++, usleep(100000)) ask(i % 3 == 0);
  for (;;) pause();
}
