// A server with a pool of threads: one accepts, the others serve. A thread that meets a bad request forgets the connection
// that another one has accepted.
#include "servers.h"

enum { kThreads = 4 };
static int handed[2];  // a pipe of descriptors
static int acceptor;   // its thread

static void accept_one(int listener) {
  const int fd = AT(story->accepted, accept4(listener, NULL, NULL, SOCK_CLOEXEC));
  if (fd < 0 || write(handed[1], &fd, sizeof fd) != sizeof fd) err(70, "accept");
  ++story->created;
}

static void* accept_all(void* listener) {
  pthread_setname_np(pthread_self(), "acceptor");
  acceptor = gettid();
  while (true) accept_one(*(const int*)listener);
  return NULL;
}

static void serve(void) {
  int fd = -1;
  if (read(handed[0], &fd, sizeof fd) != sizeof fd) err(70, "pool");
  if (!is_good(fd) && !repaired) {
    forget(fd, getpid(), acceptor, "thread_pool", "acceptor");
    answer(fd, 'n');
    return;  // the leak
  }
  ++story->closes;
  answer(fd, 'y');
  if (AT(story->closed, close(fd)) != 0) err(70, "close");
}

static void* serve_all(void* name) {
  pthread_setname_np(pthread_self(), name);
  while (true) serve();
  return NULL;
}

int main(int argc, char** argv) {
  int listener = open_listener(argc, argv);
  static char names[kThreads][16];
  pthread_t thread;
  if (pipe(handed) != 0 || pthread_create(&thread, NULL, accept_all, &listener) != 0) err(70, "start");
  for (int i = 0; i < kThreads; ++i) {
    snprintf(names[i], sizeof names[i], "pool-%d", i);
    if (pthread_create(&thread, NULL, serve_all, names[i]) != 0) err(70, "pthread_create");
  }
  tell_when_asked("thread_pool.c");
  return 0;
}
