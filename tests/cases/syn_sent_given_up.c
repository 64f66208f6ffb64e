// LEAK of connects that are given up: the server's backlog is full, the program stops waiting after 50 ms and forgets
// the socket, which stays in SYN_SENT for two minutes. Forty of them, then quiet. Begins when a line comes on stdin.
//   sockleak trace -p PID -d 15s --older 3s    LEAK  40 of 40 sockets never closed, 40 SYN_SENT, opened by call()
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

__attribute__((noinline)) static int call(const struct sockaddr_in* peer) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);  // opened here
  if (connect(fd, (const struct sockaddr*)peer, sizeof *peer) != 0 && errno != EINPROGRESS) {
    close(fd);
    return -1;
  }
  struct pollfd writable = {.fd = fd, .events = POLLOUT};
  if (poll(&writable, 1, 50) == 0) return -1;  // forgotten
  close(fd);
  return 0;
}

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0), first = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr*)&address, sizeof address) || listen(listener, 0) ||
      getsockname(listener, (struct sockaddr*)&address, &length))
    return 1;
  if (connect(first, (struct sockaddr*)&address, sizeof address)) return 1;  // fills the backlog
  getchar();
  for (int i = 0; i < 40; i++, usleep(50000)) call(&address);
  for (;;) pause();
}
