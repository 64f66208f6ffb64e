// What the servers share: each answers one request per connection, forgets some, and tells the truth about it when asked.
// The first line on stdout is the port; a line on stdin asks for the truth, the end of stdin ends everything.
#ifndef SOCKLEAK_TESTS_SERVERS_H
#define SOCKLEAK_TESTS_SERVERS_H

#define _GNU_SOURCE  // accept4, gettid
#include <arpa/inet.h>
#include <err.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

// A place in a file; AT() notes it on the very line of the call, so the truth cannot drift from the source.
struct place {
  char function[32];
  int line;
};
#define AT(place, call) ((void)strcpy((place).function, __func__), (void)((place).line = __LINE__), (call))

/// In memory that every process and thread of the server shares.
struct story {
  struct place listened, accepted, closed, read;
  atomic_int created, closes, forgotten;
  struct {
    int creator, thread, holder, fd;
    unsigned long inode;
    char comm[16], name[16];  // of the creator's process and thread
  } sockets[64];
};
static struct story* story;
static bool repaired;

/// A connection that `creator` accepted in thread `thread` stays open as `fd` of this process.
static inline void forget(int fd, int creator, int thread, const char* comm, const char* name) {
  struct stat file;
  if (fstat(fd, &file) != 0) err(70, "fstat");
  const int i = atomic_fetch_add(&story->forgotten, 1);
  if (i >= (int)(sizeof story->sockets / sizeof *story->sockets)) errx(70, "too many requests");
  story->sockets[i].creator = creator;
  story->sockets[i].thread = thread;
  story->sockets[i].holder = getpid();
  story->sockets[i].fd = fd;
  story->sockets[i].inode = (unsigned long)file.st_ino;
  snprintf(story->sockets[i].comm, sizeof story->sockets[i].comm, "%s", comm);
  snprintf(story->sockets[i].name, sizeof story->sockets[i].name, "%s", name);
}

/// Reads one request: whether it is a good one.
static inline bool is_good(int fd) {
  char request = 0;
  if (AT(story->read, read(fd, &request, 1)) != 1) err(70, "read");
  return request == 'G';
}

static inline void answer(int fd, char what) {
  if (write(fd, &what, 1) != 1) err(70, "write");
}

static inline int open_listener(int argc, char** argv) {
  story = mmap(NULL, sizeof *story, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (story == MAP_FAILED) err(70, "mmap");
  repaired = argc > 1 && strcmp(argv[1], "--repaired") == 0;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof address;
  const int fd = AT(story->listened, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd < 0 || bind(fd, (struct sockaddr*)&address, sizeof address) != 0 || listen(fd, 64) != 0 ||
      getsockname(fd, (struct sockaddr*)&address, &length) != 0)
    err(70, "listen");
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  return fd;
}

static inline void print_place(const char* name, const struct place* place, const char* file) {
  printf("\"%s\":{\"file\":\"%s\",\"line\":%d,\"function\":\"%s\"},", name, file, place->line, place->function);
}

/// Serves the test until it has heard enough.
static inline void tell_when_asked(const char* file) {
  while (getchar() == '\n') {
    printf("{\"program\":\"%.*s\",\"created\":%d,\"closed\":%d,\"leaked\":%d,", (int)strcspn(file, "."), file, story->created,
           story->closes, story->forgotten);
    print_place("listener_created_at", &story->listened, "servers.h");
    print_place("created_at", &story->accepted, file);
    print_place("closed_at", &story->closed, file);
    print_place("touched_at", &story->read, "servers.h");
    printf("\"sockets\":[");
    for (int i = 0; i < story->forgotten; ++i)
      printf("%s{\"creator\":%d,\"thread\":%d,\"comm\":\"%s\",\"name\":\"%s\",\"holder\":%d,\"fd\":%d,\"inode\":%lu}",
             i ? "," : "", story->sockets[i].creator, story->sockets[i].thread, story->sockets[i].comm,
             story->sockets[i].name, story->sockets[i].holder, story->sockets[i].fd, story->sockets[i].inode);
    printf("]}\n");
    fflush(stdout);
  }
}

#endif
