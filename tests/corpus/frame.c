#include "frame.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

int peer_port, peer_refused, peer_full;
const char *peer_unix;

static struct {
    const char *name, *shape;
    double duration, began, rate, stop_after, period;
    unsigned burst;
    long done;
    double due;
    bool controlled, started, stopped;
} load;
static unsigned long long random_state;
static volatile sig_atomic_t asked_to_end;
static int ready_fd = -1, truth_fd = -1;
static atomic_int *leaks; /* shared with forked children */

static void on_term(int sign) {
    (void)sign;
    asked_to_end = 1;
}

double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static unsigned long long next_random(void) { /* splitmix64 */
    unsigned long long z = (random_state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

unsigned draw(unsigned low, unsigned high) { return low + (unsigned)(next_random() % (high - low + 1)); }
bool one_in(unsigned n) { return next_random() % n == 0; }

/* Always the same length, so that whoever reads it while it is written reads a whole line. */
static void write_truth(void) {
    char line[256];
    int length = snprintf(line, sizeof line, "{\"scenario\":\"%s\",\"shape\":\"%s\",\"leaked\":%8d}\n", load.name, load.shape, atomic_load(leaks));
    if (truth_fd >= 0 && pwrite(truth_fd, line, (size_t)length, 0) != length) abort();
}

void leaked(int sockets) {
    atomic_fetch_add(leaks, sockets);
    write_truth();
}

/* Whoever controls the load also says when it is over; much later a program ends by itself. */
bool ending(void) { return asked_to_end || (load.started && seconds() - load.began >= load.duration + (load.controlled ? 150 : 0)); }

static void start(void) {
    load.started = true;
    load.began = load.due = seconds();
}

void ready(int port) {
    char line[64];
    int length = snprintf(line, sizeof line, "%d %d\n", port, (int)getpid());
    if (ready_fd >= 0 && write(ready_fd, line, (size_t)length) != length) abort();
    if (ready_fd >= 0) close(ready_fd);
    if (!load.controlled) start();
}

/* Waits at most so long for a command: g(o), s(top), the end. */
static void listen_for_commands(int milliseconds) {
    struct pollfd in = {.fd = load.controlled ? STDIN_FILENO : -1, .events = POLLIN};
    char word = 0;
    if (poll(&in, 1, milliseconds) != 1) return;
    if (read(STDIN_FILENO, &word, 1) != 1) asked_to_end = 1;
    if (word == 'g' && !load.started) start();
    if (word == 's') load.stopped = true;
}

void rest(unsigned milliseconds) {
    double until = seconds() + milliseconds / 1e3;
    for (double left; !ending() && (left = until - seconds()) > 0;)
        listen_for_commands(left > 0.5 ? 500 : (int)(left * 1000) + 1);
}

unsigned level(void) {
    if (strcmp(load.shape, "stepped") != 0) return 2;
    unsigned step = (unsigned)(4 * (seconds() - load.began) / load.duration);
    return step > 3 ? 4 : step + 1;
}

static double gap(void) {
    double jitter = 0.7 + 0.6 * (double)draw(0, 1000) / 1000;
    if (strcmp(load.shape, "bursty") == 0) return load.done % load.burst ? 0.02 : load.period * jitter;
    if (strcmp(load.shape, "stepped") == 0) return jitter * 2 / (load.rate * level());
    return jitter / load.rate;
}

long next_op(void) {
    for (;;) {
        double now = seconds();
        bool quiet = load.stopped || (strcmp(load.shape, "stops") == 0 && load.started && now - load.began > load.stop_after);
        if (ending()) return -1;
        if (load.started && !quiet && now >= load.due) {
            load.done++;
            load.due = (load.due < now - 1 ? now : load.due) + gap(); /* what could not be done in time is left out */
            return load.done;
        }
        double left = load.started && !quiet ? load.due - now : 0.5;
        listen_for_commands(left > 0.5 ? 500 : (int)(left * 1000) + 1);
    }
}

static struct sockaddr_in loopback(int port) {
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void give_up(const char *what) {
    perror(what);
    _exit(3);
}

int port_of(int fd) {
    struct sockaddr_in name;
    socklen_t length = sizeof name;
    if (getsockname(fd, (struct sockaddr *)&name, &length)) give_up("getsockname");
    return ntohs(name.sin_port);
}

int tcp_listener(void) {
    struct sockaddr_in any = loopback(0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&any, sizeof any) || listen(fd, 256)) give_up("listen");
    return fd;
}

int try_connect(int fd, int port) {
    struct sockaddr_in to = loopback(port);
    return connect(fd, (struct sockaddr *)&to, sizeof to);
}

int dial(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (try_connect(fd, port)) give_up("connect");
    return fd;
}

int unix_dial(void) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(to.sun_path, sizeof to.sun_path, "%s", peer_unix);
    if (connect(fd, (struct sockaddr *)&to, sizeof to)) give_up("connect (unix)");
    return fd;
}

int udp_peer(int fd) { return try_connect(fd, peer_port); }

int say(int fd, const char *request) {
    char line[64];
    int length = snprintf(line, sizeof line, "%s\n", request);
    return send(fd, line, (size_t)length, MSG_NOSIGNAL) == length ? 0 : -1;
}

int read_line(int fd, char *line, size_t size) {
    size_t used = 0;
    while (used + 1 < size) {
        ssize_t got = recv(fd, line + used, 1, 0);
        if (got <= 0) return used ? (int)used : (int)got;
        if (line[used++] == '\n') break;
    }
    line[used] = 0;
    return (int)used;
}

int ask(int fd, const char *request) {
    char line[256];
    if (say(fd, request)) return -1;
    return read_line(fd, line, sizeof line);
}

void start_thread(void *(*run)(void *), void *argument) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 256 << 10);
    if (pthread_create(&thread, &attributes, run, argument)) give_up("pthread_create");
    pthread_attr_destroy(&attributes);
}

static int number(const char *name) {
    const char *text = getenv(name);
    return text ? atoi(text) : 0;
}

static void read_options(int count, char **words) {
    for (int i = 2; i < count; i++) {
        const char *value = i + 1 < count ? words[i + 1] : "";
        if (strcmp(words[i], "--control") == 0) load.controlled = true;
        else if (strcmp(words[i], "--seed") == 0) random_state = strtoull(value, NULL, 10);
        else if (strcmp(words[i], "--duration") == 0) load.duration = atof(value);
        else if (strcmp(words[i], "--shape") == 0) load.shape = value;
        else if (strcmp(words[i], "--ready-fd") == 0) ready_fd = atoi(value);
        else if (strcmp(words[i], "--truth") == 0) truth_fd = open(value, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    }
    peer_port = number("PEER_PORT");
    peer_refused = number("PEER_REFUSED");
    peer_full = number("PEER_FULL");
    peer_unix = getenv("PEER_UNIX");
}

static void draw_load(void) {
    for (int i = 0; i < 8; i++) next_random();
    load.rate = draw(5, 20);
    load.burst = draw(8, 25);
    load.period = draw(2, 5);
    load.stop_after = load.duration * draw(25, 50) / 100;
}

int main(int count, char **words) {
    const struct scenario *tables[] = {client_scenarios, pool_scenarios, server_scenarios, local_scenarios, cpp_scenarios};
    load.name = count > 1 ? words[1] : "";
    load.shape = "steady";
    load.duration = 30;
    leaks = mmap(NULL, sizeof *leaks, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    read_options(count, words);
    draw_load();
    signal(SIGPIPE, SIG_IGN);
    struct sigaction term = {.sa_handler = on_term}; /* no SA_RESTART: accept() has to return */
    sigaction(SIGTERM, &term, NULL);
    for (size_t table = 0; table < sizeof tables / sizeof *tables; table++)
        for (const struct scenario *one = tables[table]; one->name; one++)
            if (strcmp(one->name, load.name) == 0) {
                write_truth();
                one->run();
                return 0;
            }
    fprintf(stderr, "no scenario named '%s'\n", load.name);
    return 2;
}
