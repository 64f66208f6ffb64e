// A server and its client that use io_uring for everything a socket can go through: made, connected, accepted and closed
// by the ring, into descriptors or, with --direct, into slots of the ring. With --plain the client's are made by system
// calls, as no ring could do that before 5.19. The connection is forgotten when the request is
// malformed. Ends with 77 if the kernel cannot do it.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { kConnections = 20, kMalformedEvery = 4, kSlots = 64, kCannot = 77 };

struct place {
  const char* function;
  int line, count;
};
static struct place made, accepted, closed_client, closed_server;
#define AT(place, call) \
  ((void)((place).function = __func__), (void)((place).line = __LINE__), (void)(place).count++, (call))

static bool direct, plain, repaired;
static int ring;
static struct io_uring_params parameters;
static char *submissions, *completions;
static struct io_uring_sqe* entries;

static unsigned* at(char* queue, unsigned offset) {
  return (unsigned*)(queue + offset);
}

static void set_up(void) {
  ring = (int)syscall(SYS_io_uring_setup, 8, &parameters);
  if (ring < 0) err(errno == ENOSYS || errno == EPERM ? kCannot : 70, "io_uring_setup");
  submissions = mmap(NULL, parameters.sq_off.array + parameters.sq_entries * sizeof(unsigned), PROT_READ | PROT_WRITE,
                     MAP_SHARED, ring, IORING_OFF_SQ_RING);
  completions = mmap(NULL, parameters.cq_off.cqes + parameters.cq_entries * sizeof(struct io_uring_cqe),
                     PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
  entries = mmap(NULL, parameters.sq_entries * sizeof *entries, PROT_READ | PROT_WRITE, MAP_SHARED, ring,
                 IORING_OFF_SQES);
  if (submissions == MAP_FAILED || completions == MAP_FAILED || entries == MAP_FAILED) err(70, "mapping the ring");
  int none[kSlots];
  for (int i = 0; i < kSlots; ++i) none[i] = -1;
  if (direct && syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, none, kSlots) != 0) err(70, "register");
}

// One request, and its answer. The system call is made here and nowhere else.
static __attribute__((noinline)) int ask(struct io_uring_sqe request) {
  const unsigned tail = *at(submissions, parameters.sq_off.tail);
  const unsigned slot = tail & *at(submissions, parameters.sq_off.ring_mask);
  entries[slot] = request;
  at(submissions, parameters.sq_off.array)[slot] = slot;
  __atomic_store_n(at(submissions, parameters.sq_off.tail), tail + 1, __ATOMIC_RELEASE);
  if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1) err(70, "io_uring_enter");
  const unsigned head = *at(completions, parameters.cq_off.head);
  if (head == __atomic_load_n(at(completions, parameters.cq_off.tail), __ATOMIC_ACQUIRE)) errx(70, "no answer");
  const unsigned mask = *at(completions, parameters.cq_off.ring_mask);
  const int answer = ((struct io_uring_cqe*)(completions + parameters.cq_off.cqes))[head & mask].res;
  __atomic_store_n(at(completions, parameters.cq_off.head), head + 1, __ATOMIC_RELEASE);
  return answer;
}

// A descriptor, or with --direct the number of a slot.
static __attribute__((noinline)) int new_socket(int slot) {
  if (plain) {
    const int made_plainly = AT(made, socket(AF_INET, SOCK_STREAM, 0));
    if (made_plainly < 0) err(70, "socket");
    return made_plainly;
  }
  const int fd = AT(made, ask((struct io_uring_sqe){.opcode = IORING_OP_SOCKET,
                                                    .fd = AF_INET,
                                                    .off = SOCK_STREAM,
                                                    .file_index = direct ? (unsigned)slot + 1 : 0}));
  if (fd == -EINVAL) errx(kCannot, "this kernel's io_uring makes no sockets");
  if (fd < 0) errx(70, "socket: %s", strerror(-fd));
  return direct ? slot : fd;
}

static __attribute__((noinline)) int accept_one(int listener, int slot) {
  const int fd = AT(accepted, ask((struct io_uring_sqe){
                                  .opcode = IORING_OP_ACCEPT, .fd = listener, .file_index = direct ? (unsigned)slot + 1 : 0}));
  if (fd < 0) errx(70, "accept: %s", strerror(-fd));
  return direct ? slot : fd;
}

static struct io_uring_sqe close_of(int fd) {
  struct io_uring_sqe request = {.opcode = IORING_OP_CLOSE};
  if (direct) request.file_index = (unsigned)fd + 1;
  else request.fd = fd;
  return request;
}

static uint8_t flags_of_file(void) {
  return direct ? IOSQE_FIXED_FILE : 0;
}

static __attribute__((noinline)) void serve(int listener, int number) {
  const int fd = accept_one(listener, 2 * number + 1);
  char request = 0;
  if (ask((struct io_uring_sqe){.opcode = IORING_OP_RECV, .flags = flags_of_file(), .fd = fd, .addr = (uintptr_t)&request,
                                .len = 1}) != 1) {
    errx(70, "recv");
  }
  if (request != 'O' && !repaired) return;  // the leak
  if (AT(closed_server, ask(close_of(fd))) != 0) errx(70, "close");
}

static __attribute__((noinline)) int call(const struct sockaddr_in* address, int number) {
  const int fd = new_socket(2 * number);
  const int answer = ask((struct io_uring_sqe){.opcode = IORING_OP_CONNECT,
                                               .flags = flags_of_file(),
                                               .fd = fd,
                                               .addr = (uintptr_t)address,
                                               .off = sizeof *address});
  if (answer != 0) errx(70, "connect: %s", strerror(-answer));
  const char request = number % kMalformedEvery == 0 ? '?' : 'O';
  if (ask((struct io_uring_sqe){.opcode = IORING_OP_SEND, .flags = flags_of_file(), .fd = fd, .addr = (uintptr_t)&request,
                                .len = 1}) != 1) {
    errx(70, "send");
  }
  return fd;
}

int main(int argc, char** argv) {
  const char* truth_path = NULL;
  for (int i = 1; i < argc; ++i) {
    if (strcmp(argv[i], "--direct") == 0) direct = true;
    if (strcmp(argv[i], "--plain") == 0) plain = true;
    if (strcmp(argv[i], "--repaired") == 0) repaired = true;
    if (strcmp(argv[i], "--truth") == 0 && i + 1 < argc) truth_path = argv[++i];
  }
  set_up();
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof address;
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0 || bind(listener, (struct sockaddr*)&address, sizeof address) != 0 || listen(listener, 8) != 0 ||
      getsockname(listener, (struct sockaddr*)&address, &length) != 0) {
    err(70, "listen");
  }
  int leaked = 0;
  for (int i = 0; i < kConnections; ++i) {
    const int client = call(&address, i);
    serve(listener, i);
    leaked += i % kMalformedEvery == 0;
    if (AT(closed_client, ask(close_of(client))) != 0) errx(70, "close");
  }
  if (close(listener) != 0) err(70, "close");

  FILE* truth = truth_path == NULL ? stdout : fopen(truth_path, "w");
  if (truth == NULL) err(70, "%s", truth_path);
  fprintf(truth,
          "{\"program\":\"ring_sockets\",\"leaked\":%d,\"sockets_created\":%d,"
          "\"accepted\":{\"file\":\"ring_sockets.c\",\"line\":%d,\"function\":\"%s\",\"count\":%d},"
          "\"made\":{\"file\":\"ring_sockets.c\",\"line\":%d,\"function\":\"%s\",\"count\":%d},"
          "\"closed_server\":{\"file\":\"ring_sockets.c\",\"line\":%d,\"function\":\"%s\",\"count\":%d},"
          "\"closed_client\":{\"file\":\"ring_sockets.c\",\"line\":%d,\"function\":\"%s\",\"count\":%d}}\n",
          repaired ? 0 : leaked, 1 + 2 * kConnections, accepted.line, accepted.function, accepted.count, made.line,
          made.function, made.count, closed_server.line, closed_server.function, closed_server.count, closed_client.line,
          closed_client.function, closed_client.count);
  return fclose(truth) == 0 ? 0 : 70;
}
