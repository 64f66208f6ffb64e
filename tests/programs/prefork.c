// A preforking server: the parent listens, its children accept. A child that is sent a bad request forgets the connection.
#include "servers.h"

enum { kWorkers = 3 };

static void serve(int listener, const char* name) {
  const int fd = AT(story->accepted, accept4(listener, NULL, NULL, SOCK_CLOEXEC));
  if (fd < 0) err(70, "accept");
  ++story->created;
  if (!is_good(fd) && !repaired) {
    forget(fd, getpid(), getpid(), name, name);
    answer(fd, 'n');
    return;  // the leak
  }
  ++story->closes;
  answer(fd, 'y');
  if (AT(story->closed, close(fd)) != 0) err(70, "close");
}

int main(int argc, char** argv) {
  const int listener = open_listener(argc, argv);
  pid_t workers[kWorkers];
  for (int i = 0; i < kWorkers; ++i) {
    workers[i] = fork();
    if (workers[i] < 0) err(70, "fork");
    if (workers[i] > 0) continue;
    char name[16];
    snprintf(name, sizeof name, "worker-%d", i);
    prctl(PR_SET_NAME, name);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (true) serve(listener, name);
  }
  tell_when_asked("prefork.c");
  for (int i = 0; i < kWorkers; ++i) {
    kill(workers[i], SIGKILL);
    waitpid(workers[i], NULL, 0);
  }
  return 0;
}
