// INHERITED: a server starts a job, `cat FILE`, without close-on-exec on its listener, goes on beside it for 2 s, and
// ends. The job keeps the listener that nobody accepts from, and the server cannot start again: "Address already in
// use". FILE is a FIFO, so that the job stays while its writer does.
//   sockleak check -- listener_inherited FILE              INHERITED  1 of 1 socket never closed, 1 LISTEN, opened by
//                                                          main(), held by cat; exit status 1
//   sockleak check -- listener_inherited FILE --cloexec    no leak found; exit status 0
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  int type = SOCK_STREAM | (argc > 2 ? SOCK_CLOEXEC : 0), executed[2];
  int listener = socket(AF_INET, type, 0);  // opened here
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(listener, (struct sockaddr*)&address, sizeof address) || listen(listener, 16) || pipe2(executed, O_CLOEXEC))
    return 1;
  if (fork() == 0) {
    execlp("cat", "cat", argv[1], (char*)NULL);
    _exit(127);
  }
  close(executed[1]);
  char byte;
  if (read(executed[0], &byte, 1) != 0) return 1;  // the job runs: exec has closed its end
  sleep(2);                                        // or the job might have been started to take the server's place
  close(listener);
  return 0;
}
