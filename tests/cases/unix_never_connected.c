// LEAK under check of sockets that never were connected: the path is too long for the address, and that error path
// forgets the socket.
//   sockleak check -- unix_never_connected    LEAK  30 of 30 sockets never closed, opened by dial(); exit status 1
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

__attribute__((noinline)) static int dial(const char* path) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);  // opened here
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;  // forgotten
  }
  memcpy(address.sun_path, path, strlen(path));
  if (connect(fd, (struct sockaddr*)&address, sizeof address) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

int main(void) {
  char path[200];
  memset(path, 'x', sizeof path - 1);
  path[sizeof path - 1] = 0;
  for (int i = 0; i < 30; i++) dial(path);
  return 0;
}
