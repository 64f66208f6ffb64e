// LEAK, found also by a trace that is much longer than the load: 50 of 550 connects are refused and their sockets never
// closed. A refused connect() was never a connection, so no pool keeps it, however long nothing grows. Begins when a
// line comes on stdin.
//   sockleak trace -p PID -d 25s --older 3s    LEAK  50 of 550 sockets never closed, 50 CLOSE, opened by visit()
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

__attribute__((noinline)) static int visit(const struct sockaddr_in* peer) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);                                     // opened here
  if (connect(fd, (const struct sockaddr*)peer, sizeof *peer) != 0) return -1;  // forgotten
  close(fd);
  return 0;
}

int main(void) {
  struct sockaddr_in peers[2];  // one that answers, one that refuses
  for (int i = 0; i < 2; i++) {
    socklen_t length = sizeof peers[i];
    peers[i] = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr*)&peers[i], sizeof peers[i]) ||
        getsockname(listener, (struct sockaddr*)&peers[i], &length))
      return 1;
    if (i == 1) {
      close(listener);
    } else if (listen(listener, 1024)) {
      return 1;
    } else if (fork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (;;) close(accept(listener, NULL, NULL));
    }
  }
  getchar();
  for (int i = 0; i < 550; i++, usleep(10000)) visit(&peers[i % 11 == 0]);
  for (;;) pause();
}
