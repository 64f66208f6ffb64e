// LEAK, found although it comes in bursts slower than one window of growth, as from a health check, a scrape or cron:
// ordinary work that closes its sockets, and every 5 s, five times, a job that forgets five. Begins when a line comes
// on stdin.
//   sockleak trace -p PID -d 26s -i 2s    LEAK  20 or more of 25 sockets of the job never closed, opened by probe()
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PER_SECOND = 4, EVERY = 5, BURST = 5, JOBS = 5 };

__attribute__((noinline)) static void probe(int forget) {
  struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_DGRAM, 0);  // opened here
  connect(fd, (struct sockaddr*)&peer, sizeof peer);
  if (!forget) close(fd);
}

int main(void) {
  getchar();
  for (int tick = 0;; tick++, usleep(1000000 / PER_SECOND)) {
    probe(0);
    if (tick % (EVERY * PER_SECOND) == 2 && tick < JOBS * EVERY * PER_SECOND) {
      for (int i = 0; i < BURST; i++) probe(1);
    }
  }
}
