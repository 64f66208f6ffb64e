// Some hundred open unix sockets: pairs, half of one end each bound, and as many that only a message in flight holds.
// None is ever closed. Waits for a line on stdin, makes them, prints the truth as one JSON line, and ends with stdin.
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { kInFlight = 200 };

static int must(int result, const char* what) {
  if (result < 0) err(70, "%s", what);
  return result;
}

static int pair_line;
__attribute__((noinline)) static void make_pair(int fds[2]) {
  pair_line = __LINE__ + 1;
  const int result = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
  must(result, "socketpair");
}

/// The kernel chooses the name, and keeps the socket elsewhere from now on.
static void bind_it(int fd) {
  const struct sockaddr_un unnamed = {.sun_family = AF_UNIX};
  must(bind(fd, (const struct sockaddr*)&unnamed, sizeof(sa_family_t)), "bind");
}

/// One end of each of kInFlight pairs goes into one message, which nobody reads.
static void send_some(void) {
  int carrier[2], pair[2], sent[kInFlight];
  make_pair(carrier);
  for (int i = 0; i < kInFlight; ++i) {
    make_pair(pair);
    sent[i] = pair[0];
  }
  char byte = 'x';
  static char control[CMSG_SPACE(sizeof sent)];
  struct iovec data = {&byte, 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof sent);
  memcpy(CMSG_DATA(rights), sent, sizeof sent);
  must((int)sendmsg(carrier[0], &message, 0), "sendmsg");
  for (int i = 0; i < kInFlight; ++i) close(sent[i]);
}

int main(int argc, char** argv) {
  const int pairs = argc > 1 ? atoi(argv[1]) : 400;
  char line[8];
  int fds[2];
  puts("ready");
  fflush(stdout);
  if (fgets(line, sizeof line, stdin) == NULL) return 0;
  for (int i = 0; i < pairs; ++i) {
    make_pair(fds);
    if (i % 2 == 0) bind_it(fds[1]);
  }
  send_some();
  printf("{\"created\":%d,\"in_flight\":%d,\"function\":\"make_pair\",\"line\":%d}\n", 2 * (pairs + kInFlight + 1),
         kInFlight, pair_line);
  fflush(stdout);
  while (getchar() != EOF) {
  }
  return 0;
}
