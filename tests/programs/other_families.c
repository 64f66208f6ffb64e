// Sockets of families that are not followed, and unix sockets: 60 of each, never closed; 5 more of netlink are closed.
// A child has all of them for a moment. With an argument it stays until stdin ends, and says its truth first; else it
// ends at once.
#include <err.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kKept = 60, kClosed = 5 };

static int must(int result, const char* what) {
  if (result < 0) err(70, "%s", what);
  return result;
}

static int netlink_socket(void) {
  return must(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), "netlink");
}

int main(int argc, char** argv) {
  for (int i = 0; i < kKept; ++i) netlink_socket();
  for (int i = 0; i < kClosed; ++i) must(close(netlink_socket()), "close");
  for (int i = 0; i < kKept; ++i) must(socket(AF_UNIX, SOCK_STREAM, 0), "unix");
  const pid_t child = must(fork(), "fork");
  if (child == 0) _exit(0);  // its copies of all of them are not the last
  if (waitpid(child, NULL, 0) != child) err(70, "waitpid");
  if (argc < 2) return 0;
  (void)argv;
  printf("{\"pid\":%d,\"netlink\":%d,\"unix\":%d}\n", getpid(), kKept, kKept);
  fflush(stdout);
  while (getchar() != EOF) {
  }
  return 0;
}
