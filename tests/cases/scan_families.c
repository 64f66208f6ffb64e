// LEAK of 60 unix sockets under check, and 60 netlink sockets that sockleak does not follow: what is left open of other
// families is said, by family, and the data is not called complete without a reservation. (tests/live/other_families.py
// has scan and trace.)
//   sockleak check -- scan_families    LEAK  60 of 60 unix sockets never closed, opened by local(); exit status 1; and
//                                      60 sockets of families that are not followed (netlink) were left open
#include <linux/netlink.h>
#include <sys/socket.h>

__attribute__((noinline)) static int route(void) {
  int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  __asm__ volatile("" ::"r"(fd));
  return fd;
}

__attribute__((noinline)) static int local(void) {
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);  // opened here
  __asm__ volatile("" ::"r"(fd));
  return fd;
}

int main(void) {
  for (int i = 0; i < 60; i++) {
    if (route() < 0 || local() < 0) return 1;
  }
  return 0;
}
