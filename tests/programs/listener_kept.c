// A listener that outlives its server in a child's hands. The server says port and child as one JSON line, and ends.
//   listener_kept exec      the child has executed cat, which knows nothing of it
//   listener_kept cloexec   the same, but the listener is closed on the way
//   listener_kept daemon    the child is the server itself, gone into the background; it is busy with something else
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char** argv) {
  const char* how = argc > 1 ? argv[1] : "exec";
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof address;
  const int listener = socket(AF_INET, SOCK_STREAM | (strcmp(how, "cloexec") == 0 ? SOCK_CLOEXEC : 0), 0);
  int ready[2];
  if (listener < 0 || bind(listener, (struct sockaddr*)&address, length) != 0 || listen(listener, 16) != 0 ||
      getsockname(listener, (struct sockaddr*)&address, &length) != 0 || pipe2(ready, O_CLOEXEC) != 0)
    err(70, "listen");
  const pid_t child = fork();
  if (child < 0) err(70, "fork");
  if (child == 0) {
    if (strcmp(how, "daemon") != 0) {
      execlp("cat", "cat", (char*)NULL);
      err(70, "cat");
    }
    close(ready[0]);
    close(ready[1]);
    while (getchar() != EOF) {
    }
    return 0;
  }
  close(ready[1]);
  char byte;
  if (read(ready[0], &byte, 1) != 0) err(70, "the child");  // it has executed cat
  printf("{\"child\":%d,\"port\":%d}\n", child, ntohs(address.sin_port));
  fflush(stdout);
  return 0;
}
