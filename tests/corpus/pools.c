/* Pools of connections made by hand, and what looks like one. Every request takes a connection for 60 to 160 ms. */
#include "frame.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 256 };

struct kept { int fd; double born, used; };
struct pool {
    pthread_mutex_t mutex;
    struct kept idle[MOST];
    unsigned count;
    bool fifo;
    double max_life, max_idle; /* 0: for ever */
};

static bool too_old(const struct pool *pool, const struct kept *one) {
    double now = seconds();
    return (pool->max_life > 0 && now - one->born > pool->max_life) || (pool->max_idle > 0 && now - one->used > pool->max_idle);
}

/* An idle connection, or -1: then the caller opens one. */
static struct kept take(struct pool *pool) {
    struct kept one = {.fd = -1};
    pthread_mutex_lock(&pool->mutex);
    while (pool->count > 0 && one.fd < 0) {
        if (pool->fifo) {
            one = pool->idle[0];
            pool->count--;
            for (unsigned i = 0; i < pool->count; i++) pool->idle[i] = pool->idle[i + 1];
        } else one = pool->idle[--pool->count];
        if (too_old(pool, &one)) {
            close(one.fd);
            one.fd = -1;
        }
    }
    pthread_mutex_unlock(&pool->mutex);
    return one;
}

static void give(struct pool *pool, struct kept one) {
    one.used = seconds();
    pthread_mutex_lock(&pool->mutex);
    if (pool->count < MOST && !too_old(pool, &one)) pool->idle[pool->count++] = one;
    else close(one.fd);
    pthread_mutex_unlock(&pool->mutex);
}

static struct pool shared = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void *request(void *milliseconds) {
    char line[32];
    struct kept one = take(&shared);
    if (one.fd < 0) {
        one.fd = dial(peer_port); /* OPENS pool_lifo pool_fifo pool_rotation pool_reaper pool_beside lease_lost */
        one.born = seconds();
    }
    snprintf(line, sizeof line, "slow %u", (unsigned)(size_t)milliseconds);
    ask(one.fd, line);
    give(&shared, one);
    return NULL;
}

static void *lost_lease(void *unused) {
    struct kept one = take(&shared);
    if (one.fd < 0) one.fd = dial(peer_port); /* OPENS lease_lost */
    ask(one.fd, "echo");
    leaked(1); /* an exception on the way: never given back */
    return unused;
}

/* As many requests at once as the load's level says. */
static void serve_load(unsigned most, unsigned lose_one_in, bool (*beside)(void)) {
    ready(0);
    while (next_op() >= 0) {
        if (!one_in(3)) continue;
        for (unsigned i = 0, n = draw(1, most * level() / 2); i < n; i++) start_thread(request, (void *)(size_t)draw(60, 160));
        if (lose_one_in && one_in(lose_one_in)) start_thread(lost_lease, NULL);
        if (beside) beside();
    }
}

static void pool_lifo(void) { serve_load(draw(4, 10), 0, NULL); }
static void pool_fifo(void) {
    shared.fifo = true;
    serve_load(draw(4, 10), 0, NULL);
}
static void pool_rotation(void) {
    shared.max_life = draw(5, 12);
    serve_load(draw(3, 6), 0, NULL);
}
static void pool_reaper(void) {
    shared.max_idle = draw(3, 8);
    shared.fifo = true;
    serve_load(draw(3, 8), 0, NULL);
}
static void lease_lost(void) { serve_load(draw(3, 6), draw(3, 6), NULL); }

static bool probe_beside(void) {
    if (!one_in(5)) return false;
    int fd = dial(peer_port); /* OPENS pool_beside */
    ask(fd, "echo");
    leaked(1);
    return true;
}
static void pool_beside(void) { serve_load(draw(3, 6), 0, probe_beside); }

/* The server hangs up on what is idle; the pool sees it when it takes that connection the next time, which is late. */
static bool hung_up(int fd) {
    struct pollfd in = {.fd = fd, .events = POLLIN};
    return poll(&in, 1, 0) == 1;
}
static void *request_checked(void *unused) {
    struct kept one = take(&shared);
    while (one.fd >= 0 && hung_up(one.fd)) {
        close(one.fd);
        one = take(&shared);
    }
    if (one.fd < 0) {
        one.fd = dial(peer_port); /* OPENS pool_hung_up */
        ask(one.fd, "idle 2500");   /* the server's idle timeout */
    }
    ask(one.fd, "slow 50");
    give(&shared, one);
    return unused;
}
static void pool_hung_up(void) {
    unsigned most = draw(3, 8);
    ready(0);
    for (double next = 0; next_op() >= 0;) {
        bool busy = seconds() > next; /* a rush now and then, one request at a time between */
        if (busy) next = seconds() + draw(6, 12);
        for (unsigned i = 0; i < (busy ? most : 1); i++) start_thread(request_checked, NULL);
    }
}

/* One connection per tenant; tenants come back, some after a long while. */
static void tenants(void) {
    int fds[64] = {0};
    unsigned count = draw(15, 40);
    ready(0);
    while (next_op() >= 0) {
        unsigned i = draw(0, count - 1);
        if (one_in(3)) i = draw(0, 3);
        if (!fds[i]) fds[i] = dial(peer_port); /* OPENS tenants */
        ask(fds[i], "echo");
    }
}

/* Worker threads that live on, each with its own connection, used now and then. */
static void *worker(void *unused) {
    unsigned pause = (unsigned)(size_t)unused;
    int fd = dial(peer_port); /* OPENS per_living_thread */
    while (!ending()) {
        ask(fd, "echo");
        usleep(pause * 1000); /* between jobs */
    }
    return NULL;
}
static void per_living_thread(void) {
    unsigned most = draw(10, 25), started = 0;
    ready(0);
    while (next_op() >= 0)
        if (started < most && one_in(6)) {
            started++;
            start_thread(worker, (void *)(size_t)draw(500, 4000));
        }
}

/* Subscribers: a thread each, blocked in recv() for what the server sends now and then. */
static void *subscriber(void *unused) {
    char line[64];
    int fd = dial(peer_port); /* OPENS subscribers */
    say(fd, (size_t)unused % 3 ? "sub 1500" : "mute");
    while (read_line(fd, line, sizeof line) > 0) {}
    close(fd);
    return NULL;
}
static void subscribers(void) {
    size_t started = 0, most = draw(15, 40);
    ready(0);
    while (next_op() >= 0)
        if (started < most && one_in(4)) start_thread(subscriber, (void *)++started);
}

/* One connection per helper that is executed; the helper inherits nothing. */
static void exec_helpers(void) {
    int control = dial(peer_port); /* OPENS exec_helpers */
    signal(SIGCHLD, SIG_IGN);
    ready(0);
    while (next_op() >= 0) {
        ask(control, "echo");
        if (!one_in(6)) continue;
        int fd = dial(peer_port); /* OPENS exec_helpers */
        ask(fd, "echo");
        if (fork() == 0) {
            execl("/bin/true", "true", (char *)NULL);
            _exit(127);
        }
        close(fd);
    }
}

/* More and more bytes are on their way to a peer that reads slowly; the senders wait. */
static void *send_slowly(void *unused) {
    static const char block[16384];
    int fd = dial(peer_port), small = 8192; /* OPENS slow_consumer */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    say(fd, "sink 100000");
    for (int i = 0; i < 60 && !ending(); i++)
        if (send(fd, block, sizeof block, MSG_NOSIGNAL) <= 0) break;
    close(fd);
    return unused;
}
static void slow_consumer(void) {
    ready(0);
    while (next_op() >= 0)
        if (one_in(8)) start_thread(send_slowly, NULL);
}

const struct scenario pool_scenarios[] = {
    {"pool_lifo", pool_lifo}, {"pool_fifo", pool_fifo}, {"pool_rotation", pool_rotation}, {"pool_reaper", pool_reaper},
    {"lease_lost", lease_lost}, {"pool_beside", pool_beside}, {"pool_hung_up", pool_hung_up}, {"tenants", tenants},
    {"per_living_thread", per_living_thread}, {"subscribers", subscribers}, {"exec_helpers", exec_helpers},
    {"slow_consumer", slow_consumer}, {NULL, NULL}};
