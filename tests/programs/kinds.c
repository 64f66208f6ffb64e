// Two sockets of each kind: one stays open on purpose, the other is closed. Everything happens in a network namespace of
// its own. The truth is one JSON line: per socket what a report must say of it.
//   kinds [--before]    makes them when it is told to (a line on stdin); --before: at once, and only then says "ready"
#define _GNU_SOURCE  // accept4, unshare
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

// Where the socket that is being made comes from; AT() notes it on the very line of the call.
static struct {
  const char* function;
  int line;
} made;
#define AT(call) ((void)(made.function = __func__), (void)(made.line = __LINE__), work_after(call))

/// A call in last position would be a jump and leave no frame.
static inline int work_after(int fd) {
  __asm__ volatile("" : "+r"(fd));
  return fd;
}

static struct sockaddr_in loopback(int port) {
  return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons((uint16_t)port)};
}
static int must(int result, const char* what) {
  if (result < 0) err(70, "%s", what);
  return result;
}
static int bound(int fd, int port) {
  const struct sockaddr_in address = loopback(port);
  must(bind(fd, (const struct sockaddr*)&address, sizeof address), "bind");
  return fd;
}
static int connected(int fd, int port) {
  const struct sockaddr_in address = loopback(port);
  must(connect(fd, (const struct sockaddr*)&address, sizeof address), "connect");
  return fd;
}

enum { kTcpPort = 1001, kFastPort, kMptcpPort, kUdpPort, kClosedPort };
static int tcp_server = -1, fast_server = -1, mptcp_server = -1;

/// Made once: the sibling that is closed is a plain socket of the same line, bound nowhere.
static int tcp_listen(void) {
  const int fd = AT(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (tcp_server < 0) must(listen(tcp_server = bound(fd, kTcpPort), 8), "listen");
  return fd;
}
static int tcp_connect(void) {
  return connected(AT(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), kTcpPort);
}
static int tcp_accept(void) {
  return AT(accept4(tcp_server, NULL, NULL, SOCK_CLOEXEC));
}
static int tcp_refused(void) {
  const int fd = AT(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const struct sockaddr_in address = loopback(kClosedPort);
  if (connect(fd, (const struct sockaddr*)&address, sizeof address) == 0 || errno != ECONNREFUSED) err(70, "refused");
  return fd;
}
static int tcp_unused(void) {
  return AT(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}
static int tcp6_unused(void) {
  return AT(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
}
static int fast_listen(void) {
  const int fd = AT(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), queue = 8;
  if (fast_server >= 0) return fd;
  must(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof queue), "TCP_FASTOPEN");
  must(listen(fast_server = bound(fd, kFastPort), 8), "listen");
  return fd;
}
static int fast_connect(void) {
  const int fd = AT(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const struct sockaddr_in address = loopback(kFastPort);
  if (sendto(fd, "x", 1, MSG_FASTOPEN, (const struct sockaddr*)&address, sizeof address) != 1) err(70, "MSG_FASTOPEN");
  return fd;
}
static int fast_accept(void) {
  return AT(accept4(fast_server, NULL, NULL, SOCK_CLOEXEC));
}
static int mptcp_listen(void) {
  const int fd = AT(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP));
  if (fd >= 0 && mptcp_server < 0) must(listen(mptcp_server = bound(fd, kMptcpPort), 8), "listen");
  return fd;
}
static int mptcp_connect(void) {
  const int fd = AT(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP));
  return fd < 0 ? fd : connected(fd, kMptcpPort);
}
static int mptcp_accept(void) {
  return AT(accept4(mptcp_server, NULL, NULL, SOCK_CLOEXEC));
}
static int udp_unused(void) {
  return AT(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}
static int udp6_unused(void) {
  return AT(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}
static int udp_bound(void) {
  const int fd = AT(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), on = 1;
  must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
  return bound(fd, kUdpPort);
}
static int udp_connect(void) {
  return connected(AT(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), kUdpPort);
}
static int raw_socket(void) {
  return AT(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
}
static int raw_icmp(void) {
  return AT(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP));
}
static int ping_socket(void) {
  return AT(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP));
}
static int ping6_socket(void) {
  return AT(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMPV6));
}
static int sctp_socket(void) {
  return AT(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP));
}
/// Abstract names are of the network namespace.
static struct sockaddr_un unix_name(void) { return (struct sockaddr_un){.sun_family = AF_UNIX, .sun_path = "\0kinds"}; }
enum { kUnixNameLength = sizeof(sa_family_t) + sizeof "\0kinds" - 1 };
static int unix_server = -1;

static int unix_listen(void) {
  const int fd = AT(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const struct sockaddr_un name = unix_name();
  if (unix_server >= 0) return fd;
  must(bind(fd, (const struct sockaddr*)&name, kUnixNameLength), "bind");
  must(listen(unix_server = fd, 8), "listen");
  return fd;
}
static int unix_connect(void) {
  const int fd = AT(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const struct sockaddr_un name = unix_name();
  must(connect(fd, (const struct sockaddr*)&name, kUnixNameLength), "connect");
  return fd;
}
static int unix_accept(void) {
  return AT(accept4(unix_server, NULL, NULL, SOCK_CLOEXEC));
}
static int unix_stream(void) {
  return AT(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}
static int unix_dgram(void) {
  return AT(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}
static int unix_seqpacket(void) {
  return AT(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
}
/// One end now, the other one next time.
static int unix_pair(void) {
  static int pair[2] = {-1, -1};
  if (pair[0] < 0) {
    must(AT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)), "socketpair");
    return pair[0];
  }
  return pair[1];
}

static const struct kind {
  const char* name;
  int (*make)(void);
  const char *protocol, *origin, *state;  // of the one that stays
} kKinds[] = {
    {"tcp-listener", tcp_listen, "tcp", "socket", "LISTEN"},
    {"tcp-client", tcp_connect, "tcp", "connect", "ESTABLISHED"},
    {"tcp-accepted", tcp_accept, "tcp", "accept", "ESTABLISHED"},
    {"tcp-refused", tcp_refused, "tcp", "connect", "CLOSE"},
    {"tcp-unused", tcp_unused, "tcp", "socket", "CLOSE"},
    {"tcp6-unused", tcp6_unused, "tcp", "socket", "CLOSE"},
    {"fast-open-listener", fast_listen, "tcp", "socket", "LISTEN"},
    {"fast-open-client", fast_connect, "tcp", "connect", "ESTABLISHED"},
    {"fast-open-accepted", fast_accept, "tcp", "accept", "ESTABLISHED"},
    {"mptcp-listener", mptcp_listen, "mptcp", "socket", "LISTEN"},
    {"mptcp-client", mptcp_connect, "mptcp", "connect", "ESTABLISHED"},
    {"mptcp-accepted", mptcp_accept, "mptcp", "accept", "ESTABLISHED"},
    {"udp-unused", udp_unused, "udp", "socket", "CLOSE"},
    {"udp6-unused", udp6_unused, "udp", "socket", "CLOSE"},
    {"udp-bound", udp_bound, "udp", "socket", "CLOSE"},
    {"udp-connected", udp_connect, "udp", "socket", "ESTABLISHED"},
    {"raw", raw_socket, "raw", "socket", "CLOSE"},
    {"raw-icmp", raw_icmp, "icmp", "socket", "CLOSE"},
    {"ping", ping_socket, "icmp", "socket", "CLOSE"},
    {"ping6", ping6_socket, "icmp", "socket", "CLOSE"},
    {"sctp", sctp_socket, "sctp", "socket", "CLOSE"},
    {"unix-stream", unix_stream, "unix", "socket", "CLOSE"},
    {"unix-dgram", unix_dgram, "unix", "socket", "CLOSE"},
    {"unix-seqpacket", unix_seqpacket, "unix", "socket", "CLOSE"},
    {"unix-pair", unix_pair, "unix", "socketpair", "ESTABLISHED"},
    {"unix-listener", unix_listen, "unix", "socket", "LISTEN"},
    {"unix-client", unix_connect, "unix", "socket", "ESTABLISHED"},
    {"unix-accepted", unix_accept, "unix", "accept", "ESTABLISHED"},
};

static const struct unix_kind {
  const char *name, *type, *path, *peer_path;
} kUnixKinds[] = {
    {"unix-stream", "stream", "", ""},        {"unix-dgram", "dgram", "", ""},
    {"unix-seqpacket", "seqpacket", "", ""},  {"unix-pair", "stream", "", ""},
    {"unix-listener", "stream", "@kinds", ""}, {"unix-client", "stream", "", "@kinds"},
    {"unix-accepted", "stream", "@kinds", ""},
};

static void print_unix_facts(FILE* out, const char* name) {
  for (const struct unix_kind* kind = kUnixKinds; kind < kUnixKinds + sizeof kUnixKinds / sizeof *kUnixKinds; ++kind) {
    if (strcmp(kind->name, name) == 0)
      fprintf(out, ",\"type\":\"%s\",\"path\":\"%s\",\"peer_path\":\"%s\"", kind->type, kind->path, kind->peer_path);
  }
}

static void write_file(const char* path, const char* text) {
  const int fd = must(open(path, O_WRONLY | O_CLOEXEC), path);
  if (write(fd, text, strlen(text)) < 0) err(70, "%s", path);
  close(fd);
}

static void print_endpoint(FILE* out, const char* name, int fd, int (*get)(int, struct sockaddr*, socklen_t*)) {
  struct sockaddr_in address = {0};
  socklen_t length = sizeof address;
  const bool known = get(fd, (struct sockaddr*)&address, &length) == 0 && address.sin_family == AF_INET &&
                     address.sin_addr.s_addr != 0;
  fprintf(out, ",\"%s\":", name);
  if (known && address.sin_port != 0)
    fprintf(out, "{\"address\":\"%s\",\"port\":%d}", inet_ntoa(address.sin_addr), ntohs(address.sin_port));
  else
    fputs("null", out);
}

static void make_all(FILE* out) {
  const char* separator = "";
  fprintf(out, "{\"pid\":%d,\"sockets\":[", getpid());
  for (const struct kind* kind = kKinds; kind < kKinds + sizeof kKinds / sizeof *kKinds; ++kind) {
    int fds[] = {-1, -1};
    static volatile int two = 2;  // one place that calls, so that both have one stack
    for (int i = 0; i < two; ++i) fds[i] = kind->make();
    const int fd = fds[0], sibling = fds[1];
    fprintf(out, "%s\n{\"kind\":\"%s\",\"protocol\":\"%s\",\"origin\":\"%s\",\"state\":\"%s\"", separator, kind->name, kind->protocol,
            kind->origin, kind->state);
    print_unix_facts(out, kind->name);
    separator = ",";
    if (fd < 0) {
      fprintf(out, ",\"cannot\":\"%s\"}", strerror(errno));
      continue;
    }
    must(close(must(sibling, kind->name)), "close");
    struct stat file;
    must(fstat(fd, &file), "fstat");
    fprintf(out, ",\"fd\":%d,\"inode\":%lu,\"function\":\"%s\",\"line\":%d", fd, (unsigned long)file.st_ino, made.function,
            made.line);
    print_endpoint(out, "local", fd, getsockname);
    print_endpoint(out, "remote", fd, getpeername);
    fputs("}", out);
  }
  fputs("]}", out);
}

int main(int argc, char** argv) {
  must(unshare(CLONE_NEWNET), "unshare");
  const int control = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
  struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  must(ioctl(control, SIOCSIFFLAGS, &up), "lo up");
  close(control);
  write_file("/proc/sys/net/ipv4/tcp_fastopen", "519\n");  // both sides, without the exchange of cookies
  write_file("/proc/sys/net/ipv4/ping_group_range", "0 2147483647\n");
  char *story = NULL, line[8];
  size_t length = 0;
  FILE* out = open_memstream(&story, &length);
  const bool before = argc > 1 && strcmp(argv[1], "--before") == 0;
  if (before) make_all(out);
  puts("ready");
  fflush(stdout);
  if (fgets(line, sizeof line, stdin) == NULL) return 0;
  if (!before) make_all(out);
  fclose(out);
  for (const char* at = story; *at != '\0'; ++at) {
    if (*at != '\n') putchar(*at);
  }
  putchar('\n');
  fflush(stdout);
  while (getchar() != EOF) {
  }
  free(story);
  return 0;
}
