// The load of scripts/demo: demo_client PORT ORDERS PER_SECOND. One connection per order, at a bounded rate; from the
// 50th on, when the tracer has surely attached, every tenth asks for something that is out of stock. Loopback only.
#include <arpa/inet.h>
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

static void place_order(const struct sockaddr_in* server, int number) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (const struct sockaddr*)server, sizeof *server) != 0) err(70, "connect");
  const char* order = number >= 50 && number % 10 == 9 ? "ORDER unicorn 1\n" : "ORDER widget 3\n";
  if (send(fd, order, strlen(order), MSG_NOSIGNAL) < 0) err(70, "send");
  char answer = 0;
  while (answer != '\n' && read(fd, &answer, 1) == 1) {
  }
  if (answer != '\n') errx(70, "the server hung up");
  if (close(fd) != 0) err(70, "close");
}

int main(int argc, char** argv) {
  if (argc != 4) errx(64, "usage: demo_client PORT ORDERS PER_SECOND");
  struct sockaddr_in server = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  server.sin_port = htons((uint16_t)atoi(argv[1]));
  const int orders = atoi(argv[2]), per_second = atoi(argv[3]);
  if (per_second < 2) errx(64, "PER_SECOND must be at least 2");

  // The timer is the rate limit: it must sit idle between orders.
  const int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  const struct timespec tick = {.tv_nsec = 1000000000L / per_second};
  const struct itimerspec rate = {.it_interval = tick, .it_value = tick};
  if (timer < 0 || timerfd_settime(timer, 0, &rate, NULL) != 0) err(70, "timerfd");
  for (int i = 0; i < orders; ++i) {
    uint64_t ticks = 0;
    if (read(timer, &ticks, sizeof ticks) != sizeof ticks) err(70, "timerfd");
    place_order(&server, i);
  }
  return close(timer) == 0 ? 0 : 70;
}
