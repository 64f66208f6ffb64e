// One way of handing a socket on, or of keeping it without a descriptor, per scenario; the truth as one JSON line.
//
// The main process is the director: it has a listener, accepts the peers of the subject's sockets, and ends everybody
// when its stdin is closed. The subject and its children stand in shared memory what they did. Order, for a tracer that
// attaches first:  handovers SCENARIO  prints "ready", waits for a byte on stdin, plays, prints the truth, waits for EOF.
#define _GNU_SOURCE
#include "handovers.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char** environ;

struct story* story;
static struct sockaddr_in director;  // whose listener the subject connects to
static char own_path[4096];

struct told* tell(int fd) {
  struct told* told = &story->sockets[__atomic_fetch_add(&story->count, 1, __ATOMIC_SEQ_CST)];
  socklen_t length = sizeof told->cookie;
  if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &told->cookie, &length) != 0) err(70, "SO_COOKIE");
  told->creator = getpid();
  told->creator_thread = gettid();
  told->cause = "";
  told->rule = "";
  told->closed = "";
  return told;
}

void held(struct told* told, pid_t pid, pid_t tid, int fd, const char* via, const char* how) {
  const int flags = strcmp(via, "fd") == 0 && pid == getpid() ? fcntl(fd, F_GETFD) : 0;
  told->holders[told->holder_count++] = (struct holding){pid, tid, fd, via, how, flags > 0 && (flags & FD_CLOEXEC) != 0};
}

void held_here(struct told* told, int fd, const char* how) { held(told, getpid(), gettid(), fd, "fd", how); }

// A connection to the director; `flags` as of socket().
__attribute__((noinline)) int connection(int flags) {
  const int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
  if (fd < 0 || connect(fd, (struct sockaddr*)&director, sizeof director) != 0) err(70, "connect");
  return fd;
}

// --- children and handshakes -----------------------------------------------------------------------------------------

// Everything that must have happened before the truth is told.
void done(void) {
  if (write(story->done[1], "", 1) != 1) _exit(71);
}

void await(int count) {
  char byte = 0;
  while (count-- > 0) {
    if (read(story->step[0], &byte, 1) != 1) err(70, "step");
  }
}

void step(void) {
  if (write(story->step[1], "", 1) != 1) _exit(71);
}

_Noreturn void rest(void) {
  while (true) pause();
}

pid_t child(void (*body)(int), int fd) {
  const pid_t pid = fork();
  if (pid < 0) err(70, "fork");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, 0);
    body(fd);
    rest();
  }
  return pid;
}

static void nothing(int fd) {
  (void)fd;
  step();
}

// The arguments with which this program only holds what it was given.
static char* const* holder_arguments(void) {
  static char step_fd[16];
  static char* arguments[] = {own_path, "--hold", step_fd, NULL};
  snprintf(step_fd, sizeof step_fd, "%d", story->step[1]);
  return arguments;
}

// --- scenarios: handed on --------------------------------------------------------------------------------------------

static void play_fork(void) {
  const int fd = connection(0);
  struct told* told = tell(fd);
  const pid_t heir = child(nothing, fd);
  await(1);
  held_here(told, fd, "");
  held(told, heir, heir, fd, "fd", "fork");
}

static void play_exec_of_child(int mode) {
  const int kept = connection(0), marked = connection(SOCK_CLOEXEC);
  struct told *told = tell(kept), *closed_in_child = tell(marked);
  pid_t heir = 0;
  if (mode == 's') {
    if (posix_spawn(&heir, own_path, NULL, NULL, holder_arguments(), environ) != 0) err(70, "posix_spawn");
  } else {
    char* const* arguments = holder_arguments();
    heir = mode == 'v' ? vfork() : fork();
    if (heir == 0) {
      execv(own_path, arguments);
      _exit(72);
    }
  }
  await(1);
  held_here(told, kept, "");
  held(told, heir, heir, kept, "fd", "fork-exec");
  held_here(closed_in_child, marked, "");
}

static void play_fork_exec(void) { play_exec_of_child('f'); }
static void play_vfork(void) { play_exec_of_child('v'); }
static void play_spawn(void) { play_exec_of_child('s'); }

static void exec_with_sockets(int fd) {
  (void)fd;
  const int kept = connection(0), marked = connection(SOCK_CLOEXEC);
  held_here(tell(kept), kept, "exec");
  tell(marked)->closed = "exec";
  execv(own_path, holder_arguments());
  _exit(72);
}

static void play_exec(void) {
  child(exec_with_sockets, -1);
  await(1);
}

static void play_dup(void) {
  const int fd = connection(0);
  struct told* told = tell(fd);
  held_here(told, fd, "");
  held_here(told, dup(fd), "");
  held_here(told, dup2(fd, 100), "");
  held_here(told, dup3(fd, 101, O_CLOEXEC), "");
  held_here(told, fcntl(fd, F_DUPFD_CLOEXEC, 102), "");
}

static int pair[2];
static struct told* passed;

static void send_fds(int through, const int* fds, int count) {
  char control[CMSG_SPACE(sizeof(int) * 4)] = {0}, byte = 0;
  struct iovec data = {&byte, 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
                           .msg_controllen = CMSG_SPACE(sizeof(int) * (unsigned)count)};
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int) * (unsigned)count);
  memcpy(CMSG_DATA(header), fds, sizeof(int) * (unsigned)count);
  if (sendmsg(through, &message, 0) != 1) err(70, "sendmsg");
}

static int receive_fd(int through) {
  char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 0;
  struct iovec data = {&byte, 1};
  struct msghdr message = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  if (recvmsg(through, &message, MSG_CMSG_CLOEXEC) != 1 || CMSG_FIRSTHDR(&message) == NULL) err(70, "recvmsg");
  int fd = -1;
  memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
  return fd;
}

static void receive(int through) {
  const int fd = receive_fd(through);
  held(passed, getpid(), getpid(), fd, "fd", "scm_rights");
  step();
}

// The receiver is there before the socket, so that it cannot inherit it.
static void play_scm_received(void) {
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) err(70, "socketpair");
  passed = &story->sockets[0];
  child(receive, pair[1]);
  const int fd = connection(SOCK_CLOEXEC);
  tell(fd);
  send_fds(pair[0], &fd, 1);
  close(fd);
  await(1);
}

static void play_scm_in_flight(void) {
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) err(70, "socketpair");
  const int fd = connection(0);
  struct told* told = tell(fd);
  told->cause = "in-flight";
  send_fds(pair[0], &fd, 1);
  close(fd);
  held(told, getpid(), gettid(), pair[1], "scm_rights", "");
}

// In the queue of a unix socket that only its own queue keeps: the kernel's garbage collector closes it.
static void play_unix_gc(void) {
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) err(70, "socketpair");
  const int fd = connection(0);
  tell(fd)->closed = "async";
  const int all[] = {fd, pair[1]};
  send_fds(pair[0], all, 2);
  close(fd);
  close(pair[1]);
  close(pair[0]);
}

static void steal(int unused) {
  (void)unused;
  char byte = 0;
  if (read(pair[0], &byte, 1) != 1) _exit(71);
  const int owner = (int)syscall(SYS_pidfd_open, getppid(), 0);
  const int taken = (int)syscall(SYS_pidfd_getfd, owner, (int)story->place, 0);
  if (taken < 0) err(70, "pidfd_getfd");
  held(&story->sockets[0], getpid(), getpid(), taken, "fd", "pidfd_getfd");
  step();
}

static void play_pidfd_getfd(void) {
  if (pipe(pair) != 0) err(70, "pipe");
  child(steal, -1);
  const int fd = connection(SOCK_CLOEXEC);
  held_here(tell(fd), fd, "");
  story->place = fd;
  if (write(pair[1], "", 1) != 1) err(70, "write");
  await(1);
}

// --- scenarios: descriptor tables ------------------------------------------------------------------------------------

static void* hold_alone(void* told) {
  if (unshare(CLONE_FILES) != 0) err(70, "unshare");
  held(told, getpid(), gettid(), (int)story->place, "fd", "");
  step();
  rest();
}

static void play_unshared_table(void) {
  const int fd = connection(0);
  struct told* told = tell(fd);
  told->cause = "unshared-files";
  story->place = fd;
  pthread_t thread;
  if (pthread_create(&thread, NULL, hold_alone, told) != 0) err(70, "pthread_create");
  await(1);
  close(fd);
}

static int share_table(void* unused) {
  (void)unused;
  rest();
}

static void play_shared_table(void) {
  static char stack[65536] __attribute__((aligned(16)));
  const pid_t other = clone(share_table, stack + sizeof stack, CLONE_FILES | CLONE_VM | SIGCHLD, NULL);
  if (other < 0) err(70, "clone");
  const int fd = connection(0);
  struct told* told = tell(fd);
  held_here(told, fd, "");
  held(told, other, other, fd, "fd", "shared-files");
}

static void* outlive_leader(void* leader) {
  pthread_join(*(pthread_t*)leader, NULL);
  struct told* told = &story->sockets[0];
  held(told, getpid(), gettid(), (int)story->place, "fd", "");
  char path[64], line[512] = "";
  snprintf(path, sizeof path, "/proc/%d/stat", getpid());
  while (strstr(line, ") Z ") == NULL) {  // the join returns a little before the leader is a zombie
    FILE* file = fopen(path, "r");
    if (file == NULL || fgets(line, sizeof line, file) == NULL) err(70, "%s", path);
    fclose(file);
    sched_yield();
  }
  step();
  rest();
}

static void lose_leader(int unused) {
  (void)unused;
  static pthread_t leader;
  leader = pthread_self();
  const int fd = connection(0);
  tell(fd)->cause = "zombie-leader";
  story->place = fd;
  pthread_t thread;
  if (pthread_create(&thread, NULL, outlive_leader, &leader) != 0) err(70, "pthread_create");
  pthread_exit(NULL);
}

static void play_zombie_leader(void) {
  child(lose_leader, -1);
  await(1);
}

// --- scenarios: the creator ends -------------------------------------------------------------------------------------

static void leave_to_program(int unused) {
  (void)unused;
  const int fd = connection(0);
  struct told* told = tell(fd);
  told->rule = "outlived-creator";
  const pid_t heir = fork();
  if (heir == 0) {
    execv(own_path, holder_arguments());
    _exit(72);
  }
  held(told, heir, heir, fd, "fd", "fork-exec");
  await(1);
  _exit(0);
}

static void leave_to_child(int unused) {
  (void)unused;
  const int fd = connection(0);
  struct told* told = tell(fd);
  told->rule = "outlived-creator";
  const pid_t heir = child(nothing, fd);
  held(told, heir, heir, fd, "fd", "fork");
  await(1);
  _exit(0);
}

// As inetd: the new program finds the connection at descriptors 0 and 1.
static void leave_as_standard_input(int unused) {
  (void)unused;
  const int fd = connection(SOCK_CLOEXEC);
  struct told* told = tell(fd);
  const pid_t heir = fork();
  if (heir == 0) {
    dup2(fd, 0);
    execv(own_path, holder_arguments());
    _exit(72);
  }
  held(told, heir, heir, 0, "fd", "fork-exec");
  await(1);
  _exit(0);
}

// As systemd: a listener at descriptor 3, for the program to find.
static void leave_listener(int unused) {
  (void)unused;
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0 || listen(fd, 5) != 0) err(70, "listen");
  struct told* told = tell(fd);
  const pid_t heir = fork();
  if (heir == 0) {
    setenv("LISTEN_FDS", "1", 1);
    execv(own_path, holder_arguments());
    _exit(72);
  }
  held(told, heir, heir, fd, "fd", "fork-exec");
  await(1);
  _exit(0);
}

static void leave(void (*body)(int)) {
  const pid_t creator = child(body, -1);
  int status = 0;
  if (waitpid(creator, &status, 0) != creator || status != 0) errx(70, "the creator ended with %#x", (unsigned)status);
}

static void play_leftover_exec(void) { leave(leave_to_program); }
static void play_leftover_fork(void) { leave(leave_to_child); }
static void play_inetd(void) { leave(leave_as_standard_input); }
static void play_systemd(void) { leave(leave_listener); }

// -------------------------------------------------------------------------------------------------------------------

static const struct scenario {
  const char* name;
  void (*play)(void);
} kScenarios[] = {
    {"fork", play_fork},
    {"fork_exec", play_fork_exec},
    {"vfork", play_vfork},
    {"spawn", play_spawn},
    {"exec", play_exec},
    {"dup", play_dup},
    {"scm_received", play_scm_received},
    {"scm_in_flight", play_scm_in_flight},
    {"unix_gc", play_unix_gc},
    {"pidfd_getfd", play_pidfd_getfd},
    {"unshared_table", play_unshared_table},
    {"shared_table", play_shared_table},
    {"zombie_leader", play_zombie_leader},
    {"leftover_exec", play_leftover_exec},
    {"leftover_fork", play_leftover_fork},
    {"inetd", play_inetd},
    {"systemd", play_systemd},
    {"ring_slot", play_ring_slot},
    {"ring_request", play_ring_request},
    {"ring_exit", play_ring_exit},
    {"blocked_call", play_blocked_call},
    {"mapping", play_mapping},
    {"emfile", play_emfile},
    {"invisible", play_invisible},
    {"addfd", play_addfd},
};

static void print_truth(const char* scenario) {
  printf("{\"scenario\":\"%s\",\"director\":%d,\"sockets\":[", scenario, getpid());
  for (int i = 0; i < story->count; ++i) {
    const struct told* told = &story->sockets[i];
    printf("%s{\"cookie\":%llu,\"creator\":{\"pid\":%d,\"tid\":%d},\"cause\":\"%s\",\"rule\":\"%s\",\"closed\":\"%s\",\"holders\":[",
           i == 0 ? "" : ",", (unsigned long long)told->cookie, told->creator, told->creator_thread, told->cause, told->rule,
           told->closed);
    for (int j = 0; j < told->holder_count; ++j) {
      const struct holding* holder = &told->holders[j];
      printf("%s{\"pid\":%d,\"tid\":%d,\"fd\":%d,\"via\":\"%s\",\"handed_over\":\"%s\",\"cloexec\":%s}", j == 0 ? "" : ",",
             holder->pid, holder->tid, holder->fd, holder->via, holder->handed_over, holder->cloexec ? "true" : "false");
    }
    printf("]}");
  }
  printf("],\"waiting\":%d}\n", story->waiting);
  fflush(stdout);
}

static void* accept_peers(void* argument) {
  const int listener = *(int*)argument;
  while (true) {
    const int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);  // kept open; the end of the process closes it
    if (peer < 0) return NULL;
  }
}

int main(int argc, char** argv) {
  if (argc == 3 && strcmp(argv[1], "--hold") == 0) {
    if (write(atoi(argv[2]), "", 1) != 1) err(70, "step");
    rest();
  }
  const struct scenario* scenario = NULL;
  for (size_t i = 0; i < sizeof kScenarios / sizeof *kScenarios; ++i) {
    if (argc == 2 && strcmp(argv[1], kScenarios[i].name) == 0) scenario = &kScenarios[i];
  }
  if (scenario == NULL) errx(64, "usage: handovers SCENARIO");
  if (readlink("/proc/self/exe", own_path, sizeof own_path - 1) < 0) err(70, "/proc/self/exe");
  story = mmap(NULL, sizeof *story, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (story == MAP_FAILED || pipe2(story->done, O_CLOEXEC) != 0 || pipe(story->step) != 0) {
    err(70, "preparing");
  }
  setpgid(0, 0);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  puts("ready");
  fflush(stdout);
  char byte = 0;
  if (read(STDIN_FILENO, &byte, 1) != 1) return 0;

  // The subject comes before the director's sockets: it shall inherit none of them.
  if (pipe(story->start) != 0) err(70, "pipe");
  const pid_t subject = fork();
  if (subject == 0) {
    if (read(story->start[0], &byte, 1) != 1) _exit(71);
    director = story->director;
    scenario->play();
    done();
    rest();
  }
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  socklen_t length = sizeof story->director;
  story->director = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(listener, (struct sockaddr*)&story->director, length) != 0 || listen(listener, 100) != 0 ||
      getsockname(listener, (struct sockaddr*)&story->director, &length) != 0) {
    err(70, "listener");
  }
  pthread_t acceptor;
  if (pthread_create(&acceptor, NULL, accept_peers, &listener) != 0) err(70, "pthread_create");
  if (write(story->start[1], "", 1) != 1 || read(story->done[0], &byte, 1) != 1) err(70, "the subject failed");
  print_truth(scenario->name);
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  kill(0, SIGKILL);  // the whole group, which this program has made
}
