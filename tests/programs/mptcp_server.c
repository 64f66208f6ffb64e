// A server that listens with MPTCP, as Go programs do by default from 1.24 on: half of its clients speak plain TCP, for
// which accept() returns plain TCP sockets. It forgets every other connection of either kind. Waits for a line on
// stdin, serves, prints the truth as one JSON line, and ends with stdin. Some plain clients wait in its accept queue
// before it says "ready".
#define _GNU_SOURCE  // accept4
#include <arpa/inet.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

enum { kClients = 24, kForgetEvery = 4, kMostEarly = 3 };

static struct sockaddr_in address;
static int accept_line, close_line;

static int must(int result, const char* what) {
  if (result < 0) err(70, "%s", what);
  return result;
}

static int open_listener(void) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
  socklen_t length = sizeof address;
  if (fd < 0) return fd;
  address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  must(bind(fd, (struct sockaddr*)&address, sizeof address), "bind");
  must(listen(fd, 2 * kClients), "listen");
  must(getsockname(fd, (struct sockaddr*)&address, &length), "getsockname");
  return fd;
}

static int connect_client(int protocol) {
  const int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, protocol), "socket");
  must(connect(fd, (struct sockaddr*)&address, sizeof address), "connect");
  return fd;
}

/// Whose bug it is: some connections are forgotten. The descriptor if this is one, else -1.
__attribute__((noinline)) static int serve(int listener, int client, int number) {
  char byte = 'x';
  accept_line = __LINE__ + 1;
  const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  must(fd, "accept");
  if (write(client, &byte, 1) != 1 || read(fd, &byte, 1) != 1) err(70, "request");
  must(close(client), "close");
  if (number % kForgetEvery < 2) return fd;
  close_line = __LINE__ + 1;
  const int result = close(fd);
  must(result, "close");
  return -1;
}

static void show(const char* name, const int* fds, int count) {
  printf("\"%s\":[", name);
  for (int i = 0; i < count; ++i) {
    struct stat file;
    must(fstat(fds[i], &file), "fstat");
    printf("%s%lu", i ? "," : "", (unsigned long)file.st_ino);
  }
  printf("],");
}

int main(int argc, char** argv) {
  const int early = argc > 1 ? atoi(argv[1]) : 0;
  int waiting[kMostEarly], plain[kClients + kMostEarly], both[kClients], plains = 0, boths = 0;
  const int listener = open_listener();
  if (listener < 0) {
    puts("no MPTCP here");
    return 0;
  }
  if (early > kMostEarly) errx(64, "at most %d", kMostEarly);
  for (int i = 0; i < early; ++i) waiting[i] = connect_client(0);
  puts("ready");
  fflush(stdout);
  char line[8];
  if (fgets(line, sizeof line, stdin) == NULL) return 0;
  for (int i = 0; i < early; ++i) {
    const int fd = serve(listener, waiting[i], 0);
    plain[plains++] = fd;
  }
  for (int i = 0; i < kClients; ++i) {
    const int speaks_mptcp = i % 2;
    const int fd = serve(listener, connect_client(speaks_mptcp ? IPPROTO_MPTCP : 0), i);
    if (fd < 0) continue;
    if (speaks_mptcp)
      both[boths++] = fd;
    else
      plain[plains++] = fd;
  }
  printf("{");
  show("plain", plain, plains);
  show("mptcp", both, boths);
  printf("\"plain_accepted\":%d,\"mptcp_accepted\":%d,\"function\":\"serve\",\"line\":%d,\"closed_line\":%d}\n",
         kClients / 2 + early, kClients / 2, accept_line, close_line);
  fflush(stdout);
  while (getchar() != EOF) {
  }
  return 0;
}
