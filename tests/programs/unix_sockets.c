// Unix sockets in every way that they are made, handed on and closed in. Waits for a line on stdin, plays, prints the truth as
// one JSON line, and ends with stdin. Sockets that stay: per inode who holds it and what must be said of it.
#define _GNU_SOURCE  // close_range, dup3
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

static int must(int result, const char* what) {
  if (result < 0) err(70, "%s", what);
  return result;
}

/// A call in last position would be a jump and leave no frame.
static inline int work_after(int result) {
  __asm__ volatile("" : "+r"(result));
  return result;
}

static int made, closed_by_call, closed_otherwise;
static char stays[4096];

static void note_stays(const char* how, int fd, const char* via) {
  struct stat file;
  must(fstat(fd, &file), "fstat");
  const size_t at = strlen(stays);
  snprintf(stays + at, sizeof stays - at, "%s{\"how\":\"%s\",\"inode\":%lu,\"fd\":%d,\"via\":\"%s\"}", at ? "," : "", how,
           (unsigned long)file.st_ino, fd, via);
}

static void pair_of(int fds[2], int type) {
  must(work_after(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds)), "socketpair");
  made += 2;
}
static void close_it(int fd) {
  must(work_after(close(fd)), "close");
}

static void wait_for(pid_t child) {
  int status = 0;
  if (waitpid(child, &status, 0) != child || status != 0) errx(70, "child: %d", status);
}

/// Whose bug it is: every third reply is dropped together with its connection.
enum { kRequests = 12, kForgotten = 4 };
static int request_line, request_closed_line;
static void forget_some(void) {
  const struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0unix_sockets"};
  const socklen_t length = sizeof(sa_family_t) + sizeof "\0unix_sockets" - 1;
  const int server = must(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  ++made;
  must(bind(server, (const struct sockaddr*)&name, length), "bind");
  must(listen(server, kRequests), "listen");
  static volatile int requests = kRequests;
  for (int i = 0; i < requests; ++i) {
    request_line = __LINE__ + 1;
    const int client = work_after(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    must(connect(client, (const struct sockaddr*)&name, length), "connect");
    const int accepted = work_after(accept4(server, NULL, NULL, SOCK_CLOEXEC));
    made += 2;
    close_it(accepted);
    ++closed_by_call;
    if (i % 3 == 0) {
      note_stays("forgotten", client, "fd");
      continue;
    }
    request_closed_line = __LINE__ + 1;
    must(work_after(close(client)), "close");
    ++closed_by_call;
  }
  close_it(server);
  ++closed_by_call;
}

/// The parent lets go first: the child's close() is the last one.
static void closed_by_child(void) {
  int ends[2], go[2];
  pair_of(ends, SOCK_STREAM);
  must(pipe(go), "pipe");
  const pid_t child = must(fork(), "fork");
  if (child == 0) {
    char byte;
    close(go[1]);
    if (read(go[0], &byte, 1) != 0) _exit(1);
    close(ends[0]);
    close(ends[1]);
    _exit(0);
  }
  close(ends[0]);
  close(ends[1]);
  close(go[0]);
  close(go[1]);
  wait_for(child);
  closed_by_call += 2;
}

/// As a shell's co-process has it: two descriptors of another program, both on one socket.
static void standard_of_child(void) {
  int ends[2];
  pair_of(ends, SOCK_STREAM);
  const pid_t child = must(fork(), "fork");
  if (child == 0) {
    must(dup2(ends[1], 0), "dup2");
    must(dup2(ends[1], 1), "dup2");
    execlp("cat", "cat", (char*)NULL);
    _exit(1);
  }
  close_it(ends[1]);
  char byte = 'x';
  if (write(ends[0], &byte, 1) != 1 || read(ends[0], &byte, 1) != 1 || byte != 'x') errx(70, "cat does not answer");
  must(shutdown(ends[0], SHUT_WR), "shutdown");
  wait_for(child);
  ++closed_otherwise;  // by another program
  close_it(ends[0]);
  ++closed_by_call;
}

/// Ways to close that are no close(): by another file in the same place, many at once.
static void replaced_and_swept(void) {
  int ends[2];
  pair_of(ends, SOCK_DGRAM);
  must(dup2(2, ends[0]), "dup2");
  ++closed_otherwise;
  close_it(ends[0]);  // standard error's copy
  if (syscall(SYS_close_range, ends[1], ends[1], 0) == 0) {
    ++closed_otherwise;
  } else {
    close_it(ends[1]);
    ++closed_by_call;
  }
}

/// The descriptor's number is used again, for a file: its close() must not be taken for the socket's.
static void number_used_again(void) {
  int ends[2];
  pair_of(ends, SOCK_SEQPACKET);
  close_it(ends[0]);
  closed_by_call += 2;
  close_it(ends[1]);
  int pipes[2];
  must(pipe(pipes), "pipe");
  close_it(pipes[0]);
  close_it(pipes[1]);
}

static void last_of_copies(void) {
  int ends[2];
  pair_of(ends, SOCK_STREAM);
  const int copy = must(dup(ends[0]), "dup");
  close_it(ends[0]);
  close_it(ends[1]);
  close_it(copy);
  closed_by_call += 2;
}

static void both_stay(void) {
  int ends[2];
  pair_of(ends, SOCK_STREAM);
  note_stays("pair", ends[0], "fd");
  note_stays("pair", ends[1], "fd");
}

/// No descriptor refers to what waits in the queue.
static void in_flight(void) {
  int ends[2], sent[2];
  pair_of(ends, SOCK_STREAM);
  pair_of(sent, SOCK_STREAM);
  char byte = 'x', control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec data = {&byte, 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(rights), &sent[0], sizeof(int));
  must((int)sendmsg(ends[0], &message, 0), "sendmsg");
  note_stays("in flight", sent[0], "");
  close_it(sent[0]);
  close_it(sent[1]);
  ++closed_by_call;
  note_stays("carrier", ends[0], "fd");
  note_stays("carrier", ends[1], "fd");
}

int main(void) {
  char line[8];
  puts("ready");
  fflush(stdout);
  if (fgets(line, sizeof line, stdin) == NULL) return 0;
  forget_some();
  closed_by_child();
  standard_of_child();
  replaced_and_swept();
  number_used_again();
  last_of_copies();
  both_stay();
  in_flight();
  printf("{\"pid\":%d,\"created\":%d,\"closed_by_call\":%d,\"closed_otherwise\":%d,\"stays\":[%s],", getpid(), made,
         closed_by_call, closed_otherwise, stays);
  printf("\"forgotten\":{\"count\":%d,\"of\":%d,\"function\":\"forget_some\",\"line\":%d,\"closed_line\":%d}}\n", kForgotten,
         kRequests, request_line, request_closed_line);
  fflush(stdout);
  while (getchar() != EOF) {
  }
  return 0;
}
