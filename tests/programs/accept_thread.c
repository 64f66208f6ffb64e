// A server with a thread per connection: accept() in the main loop, a worker that returns early on a malformed
// request and forgets to close. The clients are a forked child that closes everything.
#define _GNU_SOURCE  // accept4
#include <arpa/inet.h>
#include <err.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kConnections = 24 };  // in turn: an order, a goodbye, a malformed request, an order

// A place in this file; AT() notes it on the very line of the call, so the truth cannot drift from the source.
// Workers note their places at the same time, hence the atomics.
struct place {
  _Atomic(const char*) function;
  atomic_int line, count;
};
static struct place listening, accepted, requested, closed_after_reply, closed_after_goodbye;
#define AT(place, call) \
  ((void)((place).function = __func__), (void)((place).line = __LINE__), (void)(place).count++, (call))

static bool repaired;
static atomic_int replies, goodbyes, malformed;

static void reply(int fd) {
  if (write(fd, "done", 4) != 4) err(70, "reply");
  if (AT(closed_after_reply, close(fd)) != 0) err(70, "close");
  replies++;
}

static void say_goodbye(int fd) {
  if (AT(closed_after_goodbye, close(fd)) != 0) err(70, "close");
  goodbyes++;
}

static void* serve_connection(void* argument) {
  const int fd = (int)(long)argument;
  char request = 0;
  if (AT(requested, read(fd, &request, 1)) != 1) errx(70, "no request");
  switch (request) {
    case 'O':
      reply(fd);
      break;
    case 'G':
      say_goodbye(fd);
      break;
    default:  // malformed: the leak
      malformed++;
      if (repaired && close(fd) != 0) err(70, "close");
  }
  return NULL;
}

static void run_clients(const struct sockaddr_in* address) {
  for (int i = 0; i < kConnections; ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr*)address, sizeof *address) != 0) err(70, "client: connect");
    const char request = "OG?O"[i % 4];
    if (write(fd, &request, 1) != 1) err(70, "client: write");
    // A malformed request gets no answer; the others end when the server closes.
    char answer[8];
    while (request != '?' && read(fd, answer, sizeof answer) > 0) {
    }
    if (close(fd) != 0) err(70, "client: close");
  }
}

int main(int argc, char** argv) {
  const char* truth_path = NULL;
  for (int i = 1; i < argc; ++i) {
    if (strcmp(argv[i], "--repaired") == 0) repaired = true;
    if (strcmp(argv[i], "--truth") == 0 && i + 1 < argc) truth_path = argv[++i];
  }

  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof address;
  const int listener = AT(listening, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (listener < 0 || bind(listener, (struct sockaddr*)&address, sizeof address) != 0 || listen(listener, 32) != 0 ||
      getsockname(listener, (struct sockaddr*)&address, &length) != 0)
    err(70, "listen");

  const pid_t clients = fork();
  if (clients < 0) err(70, "fork");
  if (clients == 0) {
    if (close(listener) != 0) err(70, "client: close");
    run_clients(&address);
    _exit(0);
  }

  pthread_t workers[kConnections];
  for (int i = 0; i < kConnections; ++i) {
    const int fd = AT(accepted, accept4(listener, NULL, NULL, SOCK_CLOEXEC));
    if (fd < 0) err(70, "accept");
    if (pthread_create(&workers[i], NULL, serve_connection, (void*)(long)fd) != 0) errx(70, "pthread_create");
  }
  for (int i = 0; i < kConnections; ++i) pthread_join(workers[i], NULL);
  int status = 0;
  if (waitpid(clients, &status, 0) != clients || status != 0) errx(70, "the clients failed");
  if (close(listener) != 0) err(70, "close");

  FILE* truth = truth_path == NULL ? stdout : fopen(truth_path, "w");
  if (truth == NULL) err(70, "%s", truth_path);
  fprintf(truth,
          "{\"program\":\"accept_thread\",\"leaked\":%d,\"created\":%d,\"origin\":\"accept\",\"sockets_created\":%d,"
          "\"created_at\":{\"file\":\"accept_thread.c\",\"line\":%d,\"function\":\"%s\"},"
          "\"listener_created_at\":{\"file\":\"accept_thread.c\",\"line\":%d,\"function\":\"%s\"},"
          "\"touched_at\":{\"what\":\"recv → data\",\"file\":\"accept_thread.c\",\"line\":%d,\"function\":\"%s\"},"
          "\"closed_at\":[{\"file\":\"accept_thread.c\",\"line\":%d,\"function\":\"%s\",\"count\":%d},"
          "{\"file\":\"accept_thread.c\",\"line\":%d,\"function\":\"%s\",\"count\":%d}]}\n",
          repaired ? 0 : malformed, accepted.count, 1 + 2 * kConnections, accepted.line, accepted.function,
          listening.line, listening.function, requested.line, requested.function, closed_after_reply.line, closed_after_reply.function,
          closed_after_reply.count, closed_after_goodbye.line, closed_after_goodbye.function,
          closed_after_goodbye.count);
  return fclose(truth) == 0 ? 0 : 70;
}
