/* Unix sockets, socket pairs, descriptors in messages, children that keep a socket. */
#include "frame.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void unix_sometimes(void) {
    unsigned n = draw(3, 10);
    ready(0);
    while (next_op() >= 0) {
        int fd = unix_dial(); /* OPENS unix_sometimes */
        ask(fd, "echo");
        if (one_in(n)) leaked(1);
        else close(fd);
    }
}

static void unix_always(void) {
    ready(0);
    while (next_op() >= 0) {
        if (!one_in(4)) continue;
        int fd = unix_dial(); /* OPENS unix_always */
        ask(fd, "echo");
        leaked(1);
    }
}

/* The path is too long, and that is noticed after socket(). */
static void unix_never_connected(void) {
    ready(0);
    while (next_op() >= 0) {
        if (!one_in(4)) continue;
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); /* OPENS unix_never_connected */
        if (fd >= 0) leaked(1);
    }
}

static void pair_forgotten(void) {
    unsigned n = draw(3, 10);
    ready(0);
    while (next_op() >= 0) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) continue; /* OPENS pair_forgotten */
        say(pair[0], "x");
        if (one_in(n)) leaked(2);
        else {
            close(pair[0]);
            close(pair[1]);
        }
    }
}

/* innocent: a thread per pair waits for work, as many as there are workers */
static void *pair_worker(void *fd) {
    char line[64];
    while (read_line((int)(size_t)fd, line, sizeof line) > 0) say((int)(size_t)fd, "done");
    close((int)(size_t)fd);
    return NULL;
}
static void pair_workers(void) {
    int ends[32];
    unsigned count = 0, most = draw(4, 16);
    ready(0);
    while (next_op() >= 0) {
        int pair[2];
        if (count < most && one_in(4) && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0) { /* OPENS pair_workers */
            ends[count++] = pair[0];
            start_thread(pair_worker, (void *)(size_t)pair[1]);
        }
        if (count) ask(ends[draw(0, count - 1)], "work");
    }
}

/* innocent: short queries to a daemon and a subscription for life */
static void unix_clean(void) {
    int subscribed = unix_dial(); /* OPENS unix_clean */
    ready(0);
    while (next_op() >= 0) {
        int fd = unix_dial(); /* OPENS unix_clean */
        ask(fd, "echo");
        close(fd);
    }
    close(subscribed);
}

const struct scenario local_scenarios[] = {
    {"unix_sometimes", unix_sometimes}, {"unix_always", unix_always}, {"unix_never_connected", unix_never_connected},
    {"pair_forgotten", pair_forgotten}, {"pair_workers", pair_workers}, {"unix_clean", unix_clean}, {NULL, NULL}};
