// LEAK under check, whoever ends last: a process opens five sockets and forks a child that never touches them. The
// child holds them by accident; they are the creator's leak.
//   sockleak check -- creator_first MODE    LEAK  5 of 5 sockets never closed, opened by opens(); exit status 1
// MODE alone: no child. child-first: the creator waits for it. unwaited: the child ends first, and nobody waits.
// creator-first: the child lives 100 ms longer. creator-later: the child lives 300 ms longer, the creator 100 ms.
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((noinline)) static int opens(void) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);  // opened here
  __asm__ volatile("" ::"r"(fd));
  return fd + 1;
}

static pid_t child(unsigned milliseconds) {
  pid_t pid = fork();
  if (pid != 0) return pid;
  usleep(milliseconds * 1000);  // must sit idle: who ends first is what the mode is about
  _exit(0);
}

int main(int argc, char** argv) {
  const char* mode = argc > 1 ? argv[1] : "alone";
  for (int i = 0; i < 5; i++) opens();
  if (strcmp(mode, "child-first") == 0) {
    waitpid(child(100), NULL, 0);
  } else if (strcmp(mode, "unwaited") == 0) {
    child(100);
    usleep(300000);  // must sit idle: it outlives its child
  } else if (strcmp(mode, "creator-first") == 0) {
    child(100);
  } else if (strcmp(mode, "creator-later") == 0) {
    child(400);
    usleep(100000);  // must sit idle: its child outlives it
  }
  _exit(0);
}
