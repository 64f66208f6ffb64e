// Many processes that open, duplicate, pass on, take and close sockets in random order: the truth at scale.
//
//   handover_storm --sockets N --processes P --seed S --truth FILE
//
// Order as in handovers.c: prints "ready", waits for a byte on stdin, rages, writes the truth, prints "done", waits for the
// end of stdin. The processes do the same for the same seed, as far as the scheduler lets them.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// kAtOnce: of all processes so many run at a time, in turns of kTurn actions. A test of what is seen, not of who gets
// the processors: fifty processes that never wait would leave a tracer on two cores one fiftieth of them.
enum { kMostProcesses = 200, kMostHeld = 48, kBirths = 1 << 20, kAtOnce = 2, kTurn = 50 };

enum way { kMade, kMessage, kTaken };
static const char* const kWays[] = {"", "scm_rights", "pidfd_getfd"};

struct held {
  uint64_t cookie;
  int fd;
  enum way way;
};

// Who made which socket; open addressing by cookie.
struct birth {
  uint64_t cookie;
  pid_t creator;
};

static struct world {
  pthread_barrier_t barrier;
  sem_t turns;
  uint64_t created;
  pid_t pids[kMostProcesses];
  int newest[kMostProcesses];  // a descriptor to take
  int inbox[kMostProcesses][2];
  int held_count[kMostProcesses];
  struct held held[kMostProcesses][kMostHeld + 1];  // and the listener
  struct birth births[kBirths];
}* world;

static int processes = 50, self;
static uint64_t sockets = 200000, seed = 1, left, state;
static struct held* mine;
static int* count;
static struct sockaddr_in address;  // of this process's listener
static int listener = -1;

static uint64_t random_number(void) {  // xorshift64*
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return state * UINT64_C(2685821657736338717);
}

static uint64_t cookie_of(int fd) {
  uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) != 0) return 0;
  return cookie;
}

static struct birth* birth_of(uint64_t cookie) {
  for (size_t i = cookie * 2654435761U % kBirths;; i = (i + 1) % kBirths) {
    uint64_t found = __atomic_load_n(&world->births[i].cookie, __ATOMIC_ACQUIRE);
    if (found == cookie || found == 0) return &world->births[i];
  }
}

static void born(int fd) {
  const uint64_t cookie = cookie_of(fd);
  if (cookie == 0) err(70, "SO_COOKIE");
  uint64_t none = 0;
  struct birth* birth = birth_of(cookie);
  while (!__atomic_compare_exchange_n(&birth->cookie, &none, cookie, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
    none = 0;
    birth = birth_of(cookie);
  }
  birth->creator = getpid();
  __atomic_fetch_add(&world->created, 1, __ATOMIC_RELAXED);
}

static void keep(int fd, enum way way) {
  const uint64_t cookie = cookie_of(fd);
  if (birth_of(cookie)->creator == getpid()) way = kMade;
  for (int i = 0; i < *count; ++i) {  // the last way counts, for all descriptors
    if (mine[i].cookie == cookie) mine[i].way = way;
  }
  mine[(*count)++] = (struct held){cookie, fd, way};
  world->newest[self] = fd;
}

static void let_go(int index) {
  close(mine[index].fd);
  mine[index] = mine[--*count];
}

static void make_room(int places) {
  while (*count + places > kMostHeld) let_go((int)(random_number() % (unsigned)*count));
}

__attribute__((noinline)) static void make_plain(int type) {
  const int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
  if (fd < 0) err(70, "socket");
  born(fd);
  keep(fd, kMade);
  --left;
}

// Two at once; a reset leaves no TIME_WAIT behind, so that ports never run out.
__attribute__((noinline)) static void make_connected(void) {
  const struct linger reset = {1, 0};
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (client < 0 || setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) != 0 ||
      connect(client, (struct sockaddr*)&address, sizeof address) != 0) {
    err(70, "connect");
  }
  const int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (server < 0 || setsockopt(server, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) != 0) err(70, "accept");
  born(client);
  born(server);
  keep(client, kMade);
  keep(server, kMade);
  left -= 2;
}

static void duplicate(void) {
  struct held copy = mine[random_number() % (unsigned)*count];
  copy.fd = dup(copy.fd);
  mine[(*count)++] = copy;
}

static void pass_on(void) {
  if (*count == 0) return;
  const int index = (int)(random_number() % (unsigned)*count), to = (int)(random_number() % (unsigned)processes);
  char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 0;
  struct iovec data = {&byte, 1};
  struct msghdr message = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &mine[index].fd, sizeof(int));
  const bool sent = sendmsg(world->inbox[to][1], &message, MSG_DONTWAIT) == 1;
  if (!sent && errno != EAGAIN && errno != ETOOMANYREFS) err(70, "sendmsg");
  if (sent && random_number() % 2 == 0) let_go(index);
}

static bool receive(void) {
  char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 0;
  struct iovec data = {&byte, 1};
  struct msghdr message = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  if (recvmsg(world->inbox[self][0], &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != 1) return false;
  int fd = -1;
  memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
  make_room(1);
  keep(fd, kMessage);
  return true;
}

static void take(void) {
  const int from = (int)(random_number() % (unsigned)processes);
  const int process = (int)syscall(SYS_pidfd_open, world->pids[from], 0);
  if (process < 0) return;
  const int fd = (int)syscall(SYS_pidfd_getfd, process, world->newest[from], 0);
  close(process);
  if (fd < 0) return;  // closed meanwhile
  if (birth_of(cookie_of(fd))->cookie == 0) {  // its place was taken by something else meanwhile
    close(fd);
    return;
  }
  make_room(1);
  keep(fd, kTaken);
}

// A child that inherits everything and ends while its parent goes on.
static void fork_briefly(void) {
  if (fork() == 0) {
    while (*count > 1 && random_number() % 4 != 0) close(mine[random_number() % (unsigned)*count].fd);
    _exit(0);
  }
}

static void rage(void) {
  for (int actions = 0; left > 0; ++actions) {
    if (actions % kTurn == 0) {
      if (actions > 0) sem_post(&world->turns);
      sem_wait(&world->turns);
    }
    const unsigned dice = (unsigned)(random_number() % 1000);
    make_room(2);
    if (dice < 420) make_plain(SOCK_STREAM);
    else if (dice < 470) make_plain(SOCK_DGRAM);
    else if (dice < 500 && left >= 2) make_connected();
    else if (dice < 600) pass_on();
    else if (dice < 700) receive();
    else if (dice < 715) take();
    else if (dice < 745 && *count > 0) duplicate();
    else if (dice < 747) fork_briefly();
    else if (*count > 0) let_go((int)(random_number() % (unsigned)*count));
  }
  sem_post(&world->turns);
}

static _Noreturn void work(int index) {
  self = index;
  state = (seed + 1) * UINT64_C(0x9E3779B97F4A7C15) + (unsigned)index;
  mine = world->held[index];
  count = &world->held_count[index];
  left = sockets / (unsigned)processes + ((unsigned)index < sockets % (unsigned)processes ? 1 : 0);
  world->newest[index] = -1;
  world->pids[index] = getpid();
  listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  socklen_t length = sizeof address;
  address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(listener, (struct sockaddr*)&address, length) != 0 || listen(listener, 8) != 0 ||
      getsockname(listener, (struct sockaddr*)&address, &length) != 0) {
    err(70, "listener");
  }
  born(listener);
  pthread_barrier_wait(&world->barrier);
  rage();
  while (waitpid(-1, NULL, 0) > 0) {
  }
  pthread_barrier_wait(&world->barrier);  // nobody passes anything on any more
  while (receive()) {
  }
  mine[(*count)++] = (struct held){cookie_of(listener), listener, kMade};
  pthread_barrier_wait(&world->barrier);
  while (true) pause();
}

static void write_truth(const char* path) {
  FILE* file = fopen(path, "w");
  if (file == NULL) err(70, "%s", path);
  fprintf(file, "{\"created\":%" PRIu64 ",\"held\":[", world->created);
  const char* separator = "";
  for (int i = 0; i < processes; ++i) {
    for (int j = 0; j < world->held_count[i]; ++j) {
      const struct held* held = &world->held[i][j];
      fprintf(file, "%s\n{\"cookie\":%" PRIu64 ",\"creator\":%d,\"pid\":%d,\"fd\":%d,\"handed_over\":\"%s\"}", separator,
              held->cookie, birth_of(held->cookie)->creator, world->pids[i], held->fd, kWays[held->way]);
      separator = ",";
    }
  }
  fprintf(file, "]}\n");
  if (fclose(file) != 0) err(70, "%s", path);
}

int main(int argc, char** argv) {
  const char* truth = "/dev/null";
  for (int i = 1; i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "--sockets") == 0) sockets = strtoull(argv[i + 1], NULL, 10);
    else if (strcmp(argv[i], "--processes") == 0) processes = atoi(argv[i + 1]);
    else if (strcmp(argv[i], "--seed") == 0) seed = strtoull(argv[i + 1], NULL, 10);
    else if (strcmp(argv[i], "--truth") == 0) truth = argv[i + 1];
    else errx(64, "unknown option %s", argv[i]);
  }
  if (processes < 1 || processes > kMostProcesses || sockets > kBirths / 2) errx(64, "too many");
  world = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (world == MAP_FAILED) err(70, "mmap");
  pthread_barrierattr_t shared;
  pthread_barrierattr_init(&shared);
  pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
  pthread_barrier_init(&world->barrier, &shared, (unsigned)processes + 1);
  if (sem_init(&world->turns, 1, kAtOnce) != 0) err(70, "sem_init");
  for (int i = 0; i < processes; ++i) {
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, world->inbox[i]) != 0) err(70, "socketpair");
  }
  setpgid(0, 0);
  puts("ready");
  fflush(stdout);
  char byte = 0;
  if (read(STDIN_FILENO, &byte, 1) != 1) return 0;
  for (int i = 0; i < processes; ++i) {
    const pid_t pid = fork();
    if (pid < 0) err(70, "fork");
    if (pid == 0) work(i);
  }
  for (int i = 0; i < 3; ++i) pthread_barrier_wait(&world->barrier);
  write_truth(truth);
  puts("done");
  fflush(stdout);
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  kill(0, SIGKILL);  // the whole group, which this program has made
}
