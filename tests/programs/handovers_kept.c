// Sockets that something else than a descriptor keeps, or that nobody can see: io_uring, blocked calls, mappings, accept
// queues, broken connections. And one that another process puts into this one.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "handovers.h"

static int new_ring(struct io_uring_params* parameters) {
  const int ring = (int)syscall(SYS_io_uring_setup, 4, parameters);
  if (ring < 0) err(errno == ENOSYS || errno == EPERM ? 77 : 70, "io_uring_setup");
  return ring;
}

static void keep_in_slot(int fd) {
  struct io_uring_params parameters = {0};
  const int files[] = {-1, fd, -1};
  if (syscall(SYS_io_uring_register, new_ring(&parameters), IORING_REGISTER_FILES, files, 3) != 0) err(70, "register");
  close(fd);
}

void play_ring_slot(void) {
  const int fd = connection(0);
  struct told* told = tell(fd);
  told->cause = "io-uring-slot";
  keep_in_slot(fd);
  held(told, getpid(), gettid(), 1, "io_uring", "");
}

static void exit_with_slot(int listener) {
  struct sockaddr_in address;
  socklen_t length = sizeof address;
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (getsockname(listener, (struct sockaddr*)&address, &length) != 0 ||
      connect(fd, (struct sockaddr*)&address, length) != 0) {
    err(70, "connect");
  }
  tell(fd)->closed = "async";
  keep_in_slot(fd);
  _exit(0);
}

// The kernel closes it from a worker, a while after the exit: when the other end of the connection sees the end.
void play_ring_exit(void) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  if (listen(listener, 1) != 0) err(70, "listen");
  const pid_t creator = child(exit_with_slot, listener);
  int status = 0;
  if (waitpid(creator, &status, 0) != creator || status != 0) exit(WIFEXITED(status) ? WEXITSTATUS(status) : 70);
  const int peer = accept(listener, NULL, NULL);
  char byte = 0;
  if (peer < 0 || recv(peer, &byte, 1, 0) != 0) err(70, "the other end of the connection");
  close(peer);
  close(listener);
}

void play_ring_request(void) {
  const int fd = connection(0);
  struct told* told = tell(fd);
  told->cause = "io-uring-request";
  struct io_uring_params parameters = {0};
  const int ring = new_ring(&parameters);
  char* queue = mmap(NULL, parameters.sq_off.array + parameters.sq_entries * sizeof(unsigned), PROT_READ | PROT_WRITE,
                     MAP_SHARED, ring, IORING_OFF_SQ_RING);
  struct io_uring_sqe* entries = mmap(NULL, parameters.sq_entries * sizeof *entries, PROT_READ | PROT_WRITE, MAP_SHARED,
                                      ring, IORING_OFF_SQES);
  if (queue == MAP_FAILED || entries == MAP_FAILED) err(70, "mapping the ring");
  entries[0] = (struct io_uring_sqe){.opcode = IORING_OP_POLL_ADD, .fd = fd, .poll32_events = POLLIN};
  ((unsigned*)(queue + parameters.sq_off.array))[0] = 0;
  __atomic_store_n((unsigned*)(queue + parameters.sq_off.tail), 1, __ATOMIC_RELEASE);
  if (syscall(SYS_io_uring_enter, ring, 1, 0, 0, NULL, 0) != 1) err(70, "io_uring_enter");
  close(fd);
  held(told, getpid(), gettid(), -1, "io_uring", "");
}

static void* receive_forever(void* thread) {
  __atomic_store_n((pid_t*)thread, gettid(), __ATOMIC_RELEASE);
  char byte = 0;
  if (recv((int)story->place, &byte, 1, 0) >= 0) err(70, "recv");
  return NULL;
}

void play_blocked_call(void) {
  static pid_t receiver;
  const int fd = connection(0);
  tell(fd)->cause = "blocked-call";
  story->place = fd;
  pthread_t thread;
  if (pthread_create(&thread, NULL, receive_forever, &receiver) != 0) err(70, "pthread_create");
  char path[64], line[128] = "";
  while (strncmp(line, "45 ", 3) != 0) {  // until it is asleep in recvfrom()
    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", __atomic_load_n(&receiver, __ATOMIC_ACQUIRE));
    FILE* file = fopen(path, "r");
    if (file == NULL) continue;
    if (fgets(line, sizeof line, file) == NULL) line[0] = '\0';
    fclose(file);
  }
  close(fd);
}

void play_mapping(void) {
  const int fd = connection(0);
  struct told* told = tell(fd);
  told->cause = "mapping";
  if (mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED) err(77, "mmap of a socket");
  close(fd);
  held(told, getpid(), gettid(), -1, "mmap", "");
}

static int listener(struct sockaddr_in* address) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  socklen_t length = sizeof *address;
  *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(fd, (struct sockaddr*)address, length) != 0 || listen(fd, 8) != 0 ||
      getsockname(fd, (struct sockaddr*)address, &length) != 0) {
    err(70, "listener");
  }
  return fd;
}

static int client_of(const struct sockaddr_in* address) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (const struct sockaddr*)address, sizeof *address) != 0) err(70, "connect");
  return fd;
}

void play_emfile(void) {
  struct sockaddr_in address;
  const int server = listener(&address);
  struct told* told = tell(server);
  told->rule = "unaccepted";
  held_here(told, server, "");
  for (int i = 0; i < 3; ++i) {
    const int client = client_of(&address);
    held_here(tell(client), client, "");
  }
  story->waiting = 3;
  const struct rlimit limit = {64, 64};
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) err(70, "setrlimit");
  while (dup(STDERR_FILENO) >= 0) {
  }
  if (accept(server, NULL, NULL) >= 0 || errno != EMFILE) err(70, "accept should have failed");
}

// Reset by the peer, and never connected: no table of the kernel lists them.
void play_invisible(void) {
  struct sockaddr_in address;
  const int server = listener(&address);
  held_here(tell(server), server, "");
  const int broken = client_of(&address);
  struct told* told = tell(broken);
  told->rule = "invisible";
  held_here(told, broken, "");
  const int peer = accept4(server, NULL, NULL, SOCK_CLOEXEC);
  const struct linger reset = {1, 0};
  if (peer < 0 || setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) != 0) err(70, "linger");
  tell(peer)->closed = "close";
  close(peer);
  struct pollfd hangup = {broken, 0, 0};
  if (poll(&hangup, 1, 10000) != 1) errx(70, "no reset came");
  const int unused = socket(AF_INET, SOCK_STREAM, 0);
  told = tell(unused);
  told->rule = "invisible";
  held_here(told, unused, "");
}

// The child's getppid() is answered by its parent, which on this occasion gives it a descriptor.
static void be_supervised(int unused) {
  (void)unused;
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) err(70, "PR_SET_NO_NEW_PRIVS");
  story->place = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
  step();
  syscall(SYS_getppid);
  step();
}

void play_addfd(void) {
  const pid_t ward = child(be_supervised, -1);
  await(1);
  if (story->place < 0) exit(77);
  const int supervisor = (int)syscall(SYS_pidfd_getfd, (int)syscall(SYS_pidfd_open, ward, 0), (int)story->place, 0);
  const int fd = connection(0);
  struct told* told = tell(fd);
  held_here(told, fd, "");
  struct seccomp_notif asked = {0};
  if (supervisor < 0 || ioctl(supervisor, SECCOMP_IOCTL_NOTIF_RECV, &asked) != 0) err(70, "seccomp");
  struct seccomp_notif_addfd given = {.id = asked.id, .srcfd = (unsigned)fd};
  const int place = ioctl(supervisor, SECCOMP_IOCTL_NOTIF_ADDFD, &given);
  if (place < 0) exit(errno == EINVAL ? 77 : 70);  // since 5.9
  struct seccomp_notif_resp answer = {.id = asked.id};
  if (ioctl(supervisor, SECCOMP_IOCTL_NOTIF_SEND, &answer) != 0) err(70, "seccomp");
  await(1);
  held(told, ward, ward, place, "fd", "unknown");
}
