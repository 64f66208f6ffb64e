/* Clients that forget a socket, one function per way. The line that opens is marked OPENS and the scenario's name. */
#include "frame.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static int tcp_socket(void) { return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); }

static void refused(void) {
    unsigned n = draw(3, 10);
    ready(0);
    while (next_op() >= 0) {
        int fd = tcp_socket(); /* OPENS refused */
        if (try_connect(fd, one_in(n) ? peer_refused : peer_port)) {
            leaked(1); /* the early return without close() */
            continue;
        }
        ask(fd, "echo");
        close(fd);
    }
}

static void refused_always(void) {
    ready(0);
    while (next_op() >= 0) {
        if (!one_in(4)) continue;
        int fd = tcp_socket(); /* OPENS refused_always */
        if (try_connect(fd, peer_refused)) leaked(1);
        else close(fd);
    }
}

static void reset(void) {
    unsigned n = draw(3, 12);
    ready(0);
    while (next_op() >= 0) {
        int fd = dial(peer_port); /* OPENS reset */
        if (ask(fd, one_in(n) ? "reset" : "echo") <= 0) leaked(1);
        else close(fd);
    }
}

static void given_up(void) {
    unsigned n = draw(3, 8);
    ready(0);
    while (next_op() >= 0) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0); /* OPENS given_up */
        struct pollfd out = {.fd = fd, .events = POLLOUT};
        try_connect(fd, one_in(n) ? peer_full : peer_port);
        if (poll(&out, 1, 60) == 0) leaked(1); /* nobody answered in time */
        else close(fd);
    }
}

static void close_wait(void) {
    unsigned n = draw(3, 12);
    ready(0);
    while (next_op() >= 0) {
        int fd = dial(peer_port); /* OPENS close_wait */
        bool bye = one_in(n);
        char line[64];
        ask(fd, bye ? "bye" : "echo");
        if (bye && read_line(fd, line, sizeof line) <= 0) leaked(1); /* the end was read, and that is all */
        else close(fd);
    }
}

static void unread(void) {
    unsigned n = draw(3, 12);
    ready(0);
    while (next_op() >= 0) {
        int fd = dial(peer_port); /* OPENS unread */
        if (one_in(n)) {
            say(fd, "big 3000"); /* the status is enough for the caller, the body nobody reads */
            leaked(1);
            continue;
        }
        ask(fd, "echo");
        close(fd);
    }
}

static void forgotten_sometimes(void) {
    unsigned n = draw(3, 15);
    ready(0);
    while (next_op() >= 0) {
        int fd = dial(peer_port); /* OPENS forgotten_sometimes */
        ask(fd, "echo");
        if (one_in(n)) leaked(1);
        else close(fd);
    }
}

static void forgotten_always(void) {
    ready(0);
    while (next_op() >= 0) {
        if (!one_in(4)) continue;
        int fd = dial(peer_port); /* OPENS forgotten_always */
        ask(fd, "echo");
        leaked(1);
    }
}

static void one_in_hundred(void) {
    ready(0);
    for (long op; (op = next_op()) >= 0;)
        for (int i = 0; i < 2; i++) {
            int fd = dial(peer_port); /* OPENS one_in_hundred */
            ask(fd, "echo");
            if (one_in(100)) leaked(1);
            else close(fd);
        }
}

static void query(int fd) {
    char packet[64];
    struct timeval patience = {.tv_sec = 5};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (say(fd, "echo") == 0 && recv(fd, packet, sizeof packet, 0) < 0) perror("recv");
}

static void udp_sometimes(void) {
    unsigned n = draw(2, 10);
    ready(0);
    while (next_op() >= 0) {
        int fd = socket(AF_INET, SOCK_DGRAM, 0); /* OPENS udp_sometimes */
        udp_peer(fd);
        bool lost = one_in(n);
        if (lost) say(fd, "mute"); /* no answer: the path of the timeout forgets the socket */
        else query(fd);
        if (lost) leaked(1);
        else close(fd);
    }
}

static void udp_always(void) {
    ready(0);
    while (next_op() >= 0) {
        if (!one_in(3)) continue;
        int fd = socket(AF_INET, SOCK_DGRAM, 0); /* OPENS udp_always */
        udp_peer(fd);
        query(fd);
        leaked(1);
    }
}

/* The health check runs every few seconds and forgets what it opens; ordinary work is closed. */
static void udp_periodic(void) {
    double every = draw(4, 8), next = 0;
    unsigned burst = draw(2, 4);
    ready(0);
    while (next_op() >= 0) {
        int fd = socket(AF_INET, SOCK_DGRAM, 0);
        udp_peer(fd);
        close(fd);
        if (seconds() < next) continue;
        next = seconds() + every;
        for (unsigned i = 0; i < burst; i++) {
            int probe = socket(AF_INET, SOCK_DGRAM, 0); /* OPENS udp_periodic */
            udp_peer(probe);
            leaked(1);
        }
    }
}

/* One helper, two callers: one of them forgets. */
static int open_order(const char *request) {
    int fd = dial(peer_port); /* OPENS two_callers */
    ask(fd, request);
    return fd;
}
static void fetch_order(void) {
    int fd = open_order("echo");
    close(fd);
}
static void cancel_order(void) {
    int fd = open_order("echo");
    if (fd >= 0) leaked(1);
}
static void two_callers(void) {
    unsigned n = draw(4, 10);
    ready(0);
    while (next_op() >= 0) {
        if (one_in(n)) cancel_order();
        else fetch_order();
    }
}

/* The connections nobody needs any more are kept alive by a thread that pings them all. */
static int pinged[4096];
static volatile int pinged_count;
static void *ping_all(void *unused) {
    while (!ending()) {
        for (int i = 0; i < pinged_count; i++) ask(pinged[i], "echo");
        usleep(3000000); /* the heartbeat's own pace */
    }
    return unused;
}
static void heartbeat(void) {
    unsigned n = draw(5, 15);
    start_thread(ping_all, NULL);
    ready(0);
    while (next_op() >= 0) {
        int fd = dial(peer_port); /* OPENS heartbeat */
        ask(fd, "echo");
        if (one_in(n) && pinged_count < 4096) {
            pinged[pinged_count++] = fd;
            leaked(1);
        } else close(fd);
    }
}

/* Each job has a thread and each thread a connection of its own; nobody closes it when the thread ends. */
static void *job(void *unused) {
    int fd = dial(peer_port); /* OPENS per_ended_thread */
    for (int i = 0; i < 3; i++) ask(fd, "slow 20");
    leaked(1);
    return unused;
}
static void per_ended_thread(void) {
    ready(0);
    while (next_op() >= 0)
        if (one_in(5)) start_thread(job, NULL);
}

/* --- innocent ------------------------------------------------------------------------------------------------------ */

static void retry_backoff(void) {
    ready(0);
    while (next_op() >= 0) {
        for (unsigned wait = 20, tries = 0; tries < 4 && !ending(); tries++, wait *= 2) {
            int fd = tcp_socket(); /* OPENS retry_backoff */
            int failed = try_connect(fd, tries < 3 && one_in(2) ? peer_refused : peer_port);
            if (!failed) ask(fd, "echo");
            close(fd);
            if (!failed) break;
            rest(wait);
        }
    }
}

/* A resolver that waits for late answers: sockets are closed 3 to 6 s after the query, all of them, whether more is asked or not. */
static struct { int fd; double until; } late_answers[512];
static atomic_uint first_late, end_late;
static void *close_late(void *unused) {
    for (;;) {
        unsigned first = atomic_load(&first_late);
        if (first != atomic_load(&end_late) && late_answers[first % 512].until < seconds()) {
            close(late_answers[first % 512].fd);
            atomic_store(&first_late, first + 1);
        } else usleep(50000); /* until the next one is due */
    }
    return unused;
}
static void udp_resolver(void) {
    unsigned late = draw(3, 6);
    start_thread(close_late, NULL);
    ready(0);
    while (next_op() >= 0) {
        unsigned end = atomic_load(&end_late);
        if (end - atomic_load(&first_late) == 512) continue;
        int fd = socket(AF_INET, SOCK_DGRAM, 0); /* OPENS udp_resolver */
        udp_peer(fd);
        say(fd, "mute");
        late_answers[end % 512].fd = fd;
        late_answers[end % 512].until = seconds() + late;
        atomic_store(&end_late, end + 1);
    }
}

/* A transaction holds its connection for long, and ends. */
static void *transact(void *length) {
    int fd = dial(peer_port); /* OPENS long_transactions */
    ask(fd, "echo");
    usleep((unsigned)(size_t)length * 1000); /* the work between begin and commit */
    ask(fd, "echo");
    close(fd);
    return NULL;
}
static void long_transactions(void) {
    size_t length = draw(3000, 7000);
    ready(0);
    while (next_op() >= 0)
        if (one_in(4)) start_thread(transact, (void *)length);
}

/* Opened one after the other for half a minute or so, each is used now and then for as long as the program lives. */
static void startup(void) {
    int kept[64];
    unsigned count = 0, wanted = draw(12, 30), turn = 0;
    double opened = 0, pause = (double)draw(20, 40) / wanted;
    ready(0);
    while (next_op() >= 0) {
        if (count < wanted && seconds() - opened > pause) {
            kept[count++] = dial(peer_port); /* OPENS startup */
            opened = seconds();
        }
        ask(kept[turn++ % count], "echo");
    }
}

/* Nothing but what programs keep for life: a spare descriptor, a connection to the log daemon, a UDP socket to a collector. */
static void kept_for_life(void) {
    int spare = socket(AF_INET, SOCK_STREAM, 0), log = unix_dial(), metrics = socket(AF_INET, SOCK_DGRAM, 0); /* OPENS kept_for_life */
    udp_peer(metrics);
    ready(0);
    while (next_op() >= 0) {
        ask(log, "echo");
        say(metrics, "mute");
        if (!one_in(3)) continue;
        int fd = dial(peer_port);
        ask(fd, "echo");
        close(fd);
    }
    close(spare);
}

/* Sessions that are pinged every second and end after a while. */
static void *session(void *pings) {
    int fd = dial(peer_port); /* OPENS sessions_pinged */
    for (size_t i = 0; i < (size_t)pings && ask(fd, "echo") > 0; i++) usleep(1000000);
    close(fd);
    return NULL;
}
static void sessions_pinged(void) {
    ready(0);
    while (next_op() >= 0)
        if (one_in(4)) start_thread(session, (void *)(size_t)draw(2, 9));
}

/* Long polls from the client's side: the answer takes seconds, and a thread waits for it. */
static void *poll_once(void *milliseconds) {
    char line[32];
    int fd = dial(peer_port); /* OPENS long_poll_client */
    snprintf(line, sizeof line, "slow %u", (unsigned)(size_t)milliseconds);
    ask(fd, line);
    close(fd);
    return NULL;
}
static void long_poll_client(void) {
    ready(0);
    while (next_op() >= 0)
        if (one_in(4)) start_thread(poll_once, (void *)(size_t)draw(4000, 12000));
}

/* A cache by key that closes the least recently used one when it is full. */
static void lru_cache(void) {
    struct { unsigned key; int fd; long used; } cache[16] = {{0, 0, 0}};
    unsigned keys = draw(18, 60);
    ready(0);
    for (long op; (op = next_op()) >= 0;) {
        unsigned key = 1 + draw(0, keys - 1), oldest = 0, at = 16;
        for (unsigned i = 0; i < 16; i++) {
            if (cache[i].key == key) at = i;
            if (cache[i].used < cache[oldest].used) oldest = i;
        }
        if (at == 16) {
            at = oldest;
            if (cache[at].key) close(cache[at].fd);
            cache[at].key = key;
            cache[at].fd = dial(peer_port); /* OPENS lru_cache */
        }
        cache[at].used = op;
        ask(cache[at].fd, "echo");
    }
}

/* The cache's twin: entries are dropped without close() when their key is. */
static void cache_drops(void) {
    int cache[16] = {0};
    unsigned keys[16] = {0}, most = draw(18, 40);
    ready(0);
    while (next_op() >= 0) {
        unsigned key = 1 + draw(0, most - 1), at = key % 16;
        if (keys[at] != key) {
            if (keys[at]) leaked(1); /* overwritten */
            keys[at] = key;
            cache[at] = dial(peer_port); /* OPENS cache_drops */
        }
        ask(cache[at], "echo");
    }
}

const struct scenario client_scenarios[] = {
    {"refused", refused}, {"refused_always", refused_always}, {"reset", reset}, {"given_up", given_up},
    {"close_wait", close_wait}, {"unread", unread}, {"forgotten_sometimes", forgotten_sometimes},
    {"forgotten_always", forgotten_always}, {"one_in_hundred", one_in_hundred}, {"udp_sometimes", udp_sometimes},
    {"udp_always", udp_always}, {"udp_periodic", udp_periodic}, {"two_callers", two_callers}, {"heartbeat", heartbeat},
    {"per_ended_thread", per_ended_thread}, {"retry_backoff", retry_backoff}, {"udp_resolver", udp_resolver},
    {"long_transactions", long_transactions}, {"startup", startup}, {"kept_for_life", kept_for_life},
    {"sessions_pinged", sessions_pinged}, {"long_poll_client", long_poll_client}, {"lru_cache", lru_cache},
    {"cache_drops", cache_drops}, {NULL, NULL}};
