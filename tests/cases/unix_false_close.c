// LEAK of unix sockets in a crowd: PAIRS socket pairs, one every MS milliseconds, none ever closed. None may be told as
// closed, as when a look at the kernel's table misses some, and the leak is found. Begins when a line comes on stdin;
// stays until killed, or with --end until they are made.
//   sockleak trace -p PID -d 22s (2000 25)                       LEAK, 0 closed, opened by make_pair()
//   sockleak check -- unix_false_close 400 0 --end </dev/null    LEAK, 800 created, 0 closed; exit status 1
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

__attribute__((noinline)) static int make_pair(void) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) return -1;  // opened here
  return pair[0];
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  int pairs = atoi(argv[1]), pause_ms = atoi(argv[2]);
  getchar();
  for (int i = 0; i < pairs; i++) {
    if (make_pair() < 0) return 1;
    if (pause_ms) usleep((useconds_t)pause_ms * 1000);
  }
  while (argc == 3) pause();
  return 0;
}
