// A server in the manner of inetd: it accepts, forks, and the child executes a service with the connection as its standard
// input and output. When the table of children is full (here: for every fourth one) it forgets its own copy. The service,
// this program as "spawner --service", answers one request and stays until its client has gone.
#include "servers.h"

enum { kForgetEvery = 4 };

static int run_service(void) {
  char byte = 0;
  prctl(PR_SET_NAME, "service");
  if (read(STDIN_FILENO, &byte, 1) != 1 || write(STDOUT_FILENO, "y", 1) != 1) return 70;
  while (read(STDIN_FILENO, &byte, 1) == 1) {
  }
  return 0;
}

static void start_service(int connection) {
  const pid_t child = fork();
  if (child < 0) err(70, "fork");
  if (child > 0) return;
  if (dup2(connection, STDIN_FILENO) != STDIN_FILENO || dup2(connection, STDOUT_FILENO) != STDOUT_FILENO) err(70, "dup2");
  execl("/proc/self/exe", "service", "--service", (char*)NULL);
  err(70, "exec");
}

static void serve(int listener) {
  const int fd = AT(story->accepted, accept4(listener, NULL, NULL, SOCK_CLOEXEC));
  if (fd < 0) err(70, "accept");
  const bool full = ++story->created % kForgetEvery == 0;
  start_service(fd);
  if (full && !repaired) {
    forget(fd, getpid(), gettid(), "spawner", "spawner");
    return;  // the leak
  }
  ++story->closes;
  if (AT(story->closed, close(fd)) != 0) err(70, "close");
}

static void* serve_all(void* listener) {
  while (true) serve(*(const int*)listener);
  return NULL;
}

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "--service") == 0) return run_service();
  signal(SIGCHLD, SIG_IGN);
  int listener = open_listener(argc, argv);
  pthread_t thread;
  if (pthread_create(&thread, NULL, serve_all, &listener) != 0) errx(70, "pthread_create");
  tell_when_asked("spawner.c");
  return 0;
}
