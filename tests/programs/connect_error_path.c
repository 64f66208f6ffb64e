// A client that leaks on an error path: when the backend refuses the request, open_backend() returns early and
// forgets to close the connection it has just made. The backend is a thread of the same process and closes well.
#define _GNU_SOURCE  // accept4
#include <arpa/inet.h>
#include <err.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { kRequests = 20, kRefuseEvery = 4 };

// A place in this file; AT() notes it on the very line of the call, so the truth cannot drift from the source.
struct place {
  const char* function;
  int line, count;
};
static struct place opened, answered, closed;
#define AT(place, call) \
  ((void)((place).function = __func__), (void)((place).line = __LINE__), (void)(place).count++, (call))

static bool repaired;

static void* serve_backend(void* argument) {
  const int listener = *(const int*)argument;
  for (int i = 0; i < kRequests; ++i) {
    const int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    char request = 0;
    if (client < 0 || read(client, &request, 1) != 1) err(70, "backend");
    if (write(client, request == 'R' ? "N" : "Y", 1) != 1) err(70, "backend: write");
    if (close(client) != 0) err(70, "backend: close");
  }
  return NULL;
}

// Returns -1 if the backend refused.
static int open_backend(const struct sockaddr_in* address, char request) {
  const int fd = AT(opened, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd < 0 || connect(fd, (const struct sockaddr*)address, sizeof *address) != 0) err(70, "connect");
  char answer = 0;
  if (write(fd, &request, 1) != 1 || AT(answered, read(fd, &answer, 1)) != 1) err(70, "exchange");
  if (answer != 'Y') {
    if (repaired && close(fd) != 0) err(70, "close");
    return -1;  // the leak
  }
  return fd;
}

static bool place_order(const struct sockaddr_in* address, int number) {
  const int fd = open_backend(address, number % kRefuseEvery == 0 ? 'R' : 'O');
  if (fd < 0) return false;
  if (AT(closed, close(fd)) != 0) err(70, "close");
  return true;
}

int main(int argc, char** argv) {
  const char* truth_path = NULL;
  bool hold = false;  // once the truth is told, until stdin ends
  for (int i = 1; i < argc; ++i) {
    if (strcmp(argv[i], "--repaired") == 0) repaired = true;
    if (strcmp(argv[i], "--hold") == 0) hold = true;
    if (strcmp(argv[i], "--truth") == 0 && i + 1 < argc) truth_path = argv[++i];
  }

  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0 || bind(listener, (struct sockaddr*)&address, sizeof address) != 0 || listen(listener, 8) != 0 ||
      getsockname(listener, (struct sockaddr*)&address, &length) != 0)
    err(70, "listen");
  pthread_t backend;
  if (pthread_create(&backend, NULL, serve_backend, &listener) != 0) errx(70, "pthread_create");

  int refused = 0;
  for (int i = 0; i < kRequests; ++i) refused += !place_order(&address, i);
  pthread_join(backend, NULL);
  if (close(listener) != 0) err(70, "close");

  FILE* truth = truth_path == NULL ? stdout : fopen(truth_path, "w");
  if (truth == NULL) err(70, "%s", truth_path);
  fprintf(
      truth,
      "{\"program\":\"connect_error_path\",\"leaked\":%d,\"created\":%d,\"origin\":\"connect\",\"sockets_created\":%d,"
      "\"created_at\":{\"file\":\"connect_error_path.c\",\"line\":%d,\"function\":\"%s\"},"
      "\"touched_at\":{\"what\":\"recv → data\",\"file\":\"connect_error_path.c\",\"line\":%d,\"function\":\"%s\"},"
      "\"closed_at\":[{\"file\":\"connect_error_path.c\",\"line\":%d,\"function\":\"%s\",\"count\":%d}]}\n",
      repaired ? 0 : refused, opened.count, 1 + 2 * kRequests, opened.line, opened.function, answered.line,
      answered.function, closed.line, closed.function, closed.count);
  if (fclose(truth) != 0) return 70;
  if (hold && write(STDOUT_FILENO, "held\n", 5) == 5) {
    while (getchar() != EOF) {
    }
  }
  return 0;
}
