// One connection per way in which the last reference to a socket can go away; each is opened and closed in a function of its
// own. Waits for a line on stdin, plays, prints the truth as one JSON line, and ends with stdin.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

static struct sockaddr_in address;
static int listener;

static int must(int result, const char* what) {
  if (result < 0) err(70, "%s", what);
  return result;
}

/// A call in last position would be a jump and leave no frame.
static inline int work_after(int result) {
  __asm__ volatile("" : "+r"(result));
  return result;
}

__attribute__((noinline)) static int connection(void) {
  const int fd = must(work_after(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), "socket");
  must(work_after(connect(fd, (const struct sockaddr*)&address, sizeof address)), "connect");
  return fd;
}

static pid_t child(void) {
  return must(fork(), "fork");
}
static void wait_for(pid_t pid) {
  int status = 0;
  if (waitpid(pid, &status, 0) != pid) err(70, "waitpid");
}

__attribute__((noinline)) static bool by_close(void) {
  must(work_after(close(connection())), "close");
  return true;
}

__attribute__((noinline)) static bool by_close_range(void) {
  const unsigned fd = (unsigned)connection();
  if (work_after((int)syscall(SYS_close_range, fd, fd, 0)) == 0) return true;
  close((int)fd);  // before 5.9
  return false;
}

__attribute__((noinline)) static bool by_dup2(void) {
  const int fd = connection();
  must(work_after(dup2(STDERR_FILENO, fd)), "dup2");
  close(fd);
  return true;
}

__attribute__((noinline)) static bool by_exec(void) {
  const pid_t pid = child();
  if (pid == 0) {
    connection();
    execlp("true", "true", (char*)NULL);
    _exit(71);
  }
  wait_for(pid);
  return true;
}

__attribute__((noinline)) static bool by_exit(void) {
  const pid_t pid = child();
  if (pid == 0) {
    connection();
    _exit(0);
  }
  wait_for(pid);
  return true;
}

__attribute__((noinline)) static bool by_kill(void) {
  const pid_t pid = child();
  if (pid == 0) {
    connection();
    kill(getpid(), SIGKILL);
    _exit(71);
  }
  wait_for(pid);
  return true;
}

__attribute__((noinline)) static bool by_crash(void) {
  const pid_t pid = child();
  if (pid == 0) {
    prctl(PR_SET_DUMPABLE, 0);  // no core file
    connection();
    abort();
  }
  wait_for(pid);
  return true;
}

__attribute__((noinline)) static bool by_munmap(void) {
  const int fd = connection();
  void* pages = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
  must(close(fd), "close");
  if (pages == MAP_FAILED) return false;
  must(work_after(munmap(pages, 4096)), "munmap");
  return true;
}

static int blocked_on;
static pid_t receiver;
static void* receive_until_closed(void* unused) {
  char byte;
  __atomic_store_n(&receiver, gettid(), __ATOMIC_RELEASE);
  work_after((int)recv(blocked_on, &byte, 1, 0));
  return unused;
}

/// The thread that sleeps in recv() keeps the file; it lets go when the peer ends the connection.
__attribute__((noinline)) static bool by_end_of_call(void) {
  blocked_on = connection();
  const int peer = must(accept4(listener, NULL, NULL, SOCK_CLOEXEC), "accept");
  pthread_t thread;
  if (pthread_create(&thread, NULL, receive_until_closed, NULL) != 0) errx(70, "pthread_create");
  char path[64], line[128] = "";
  while (strncmp(line, "45 ", 3) != 0) {  // until it is asleep in recvfrom()
    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", __atomic_load_n(&receiver, __ATOMIC_ACQUIRE));
    FILE* file = fopen(path, "r");
    if (file == NULL) continue;
    if (fgets(line, sizeof line, file) == NULL) line[0] = '\0';
    fclose(file);
  }
  must(close(blocked_on), "close");
  must(close(peer), "close");
  pthread_join(thread, NULL);
  return true;
}

/// Nobody receives it: the message goes with the queue.
__attribute__((noinline)) static bool by_end_of_queue(void) {
  int ends[2];
  must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), "socketpair");
  const int fd = connection();
  char byte = 'x', control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec data = {&byte, 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  must((int)sendmsg(ends[0], &message, 0), "sendmsg");
  must(close(fd), "close");
  must(work_after(close(ends[1])), "close");
  must(close(ends[0]), "close");
  return true;
}

/// Nobody accepts them: the kernel ends them with their listener, and they were nobody's.
__attribute__((noinline)) static bool by_end_of_listener(void) {
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof own;
  const int server = must(work_after(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), "socket");
  must(bind(server, (const struct sockaddr*)&own, sizeof own), "bind");
  must(listen(server, 8), "listen");
  must(getsockname(server, (struct sockaddr*)&own, &length), "getsockname");
  const pid_t pid = child();
  if (pid == 0) {
    const int client = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    must(connect(client, (const struct sockaddr*)&own, sizeof own), "connect");
    _exit(close(client));
  }
  wait_for(pid);
  must(work_after(close(server)), "close");
  return true;
}

static const struct way {
  const char* name;
  bool (*play)(void);
  const char* how;  // as the report says it
  bool placed;      // the stack of whoever closed it runs through the function
} kWays[] = {
    {"by_close", by_close, "close", true},
    {"by_close_range", by_close_range, "close", true},
    {"by_dup2", by_dup2, "close", true},
    {"by_exec", by_exec, "exec", false},
    {"by_exit", by_exit, "exit", false},
    {"by_kill", by_kill, "exit", false},
    {"by_crash", by_crash, "exit", false},
    {"by_munmap", by_munmap, "close", true},
    {"by_end_of_call", by_end_of_call, "close", false},
    {"by_end_of_queue", by_end_of_queue, "close", true},
    {"by_end_of_listener", by_end_of_listener, "close", true},
};

int main(void) {
  char line[8];
  signal(SIGPIPE, SIG_IGN);
  puts("ready");
  fflush(stdout);
  if (fgets(line, sizeof line, stdin) == NULL) return 0;
  address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof address;
  listener = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  must(bind(listener, (const struct sockaddr*)&address, sizeof address), "bind");
  must(listen(listener, 64), "listen");
  must(getsockname(listener, (struct sockaddr*)&address, &length), "getsockname");
  static volatile size_t ways = sizeof kWays / sizeof *kWays;
  bool played[sizeof kWays / sizeof *kWays];
  for (size_t i = 0; i < ways; ++i) {
    played[i] = kWays[i].play();
    // by_end_of_call accepts its own connection, so none may wait before it.
    if (kWays[i].play != by_end_of_call && kWays[i].play != by_end_of_listener) {
      must(close(must(accept4(listener, NULL, NULL, SOCK_CLOEXEC), "accept")), "close");
    }
  }
  fputs("{\"ways\":[", stdout);
  for (size_t i = 0; i < ways; ++i) {
    printf("%s{\"function\":\"%s\",\"how\":\"%s\",\"placed\":%s,\"played\":%s}", i ? "," : "", kWays[i].name, kWays[i].how,
           kWays[i].placed ? "true" : "false", played[i] ? "true" : "false");
  }
  puts("]}");
  fflush(stdout);
  while (getchar() != EOF) {
  }
  return 0;
}
