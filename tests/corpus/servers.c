/* Servers. The peer connects to them (see peer.py): "hi" asks, "bad" is the request whose path forgets the connection. */
#include "frame.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int listener;

/* Ends the server's main loop soon after the end was asked for: accept() returns then. */
static void *end_on_time(void *main_thread) {
    while (!ending()) rest(500);
    for (;;) {
        pthread_kill(*(pthread_t *)main_thread, SIGTERM);
        usleep(20000); /* again, should it have come just before accept() */
    }
    return NULL;
}

static void open_server(void) {
    static pthread_t self;
    self = pthread_self();
    listener = tcp_listener();
    ready(port_of(listener));
    start_thread(end_on_time, &self);
}

static int answer(int fd, char *line, size_t size) {
    int got = read_line(fd, line, size);
    if (got > 0) say(fd, "ok");
    return got;
}

static void *serve_one(void *fd) {
    char line[64];
    while (answer((int)(size_t)fd, line, sizeof line) > 0)
        if (strcmp(line, "bad\n") == 0) {
            leaked(1);
            return NULL; /* the early return without close() */
        }
    close((int)(size_t)fd);
    return NULL;
}

static void serve_threads(void *(*serve)(void *)) {
    open_server();
    while (!ending()) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC); /* OPENS accept_thread accept_always vanished chat keep_alive long_poll */
        if (fd >= 0) start_thread(serve, (void *)(size_t)fd);
    }
}

static void accept_thread(void) { serve_threads(serve_one); }

static void *serve_and_forget(void *fd) {
    char line[64];
    while (answer((int)(size_t)fd, line, sizeof line) > 0) {}
    leaked(1);
    return NULL;
}
static void accept_always(void) { serve_threads(serve_and_forget); }

/* Peers that are gone without a word: the thread waits for them for ever, no keepalive, no timeout. */
static void *serve_peer(void *fd) {
    char line[64];
    while (answer((int)(size_t)fd, line, sizeof line) > 0)
        if (strcmp(line, "gone\n") == 0) leaked(1); /* the last that will ever be heard of this one */
    close((int)(size_t)fd);
    return NULL;
}
static void vanished(void) { serve_threads(serve_peer); }

/* Innocent: whoever connects is served until it goes. What differs is what the peer does. */
static void *serve_until_end(void *fd) {
    char line[64];
    while (answer((int)(size_t)fd, line, sizeof line) > 0) {}
    close((int)(size_t)fd);
    return NULL;
}
static void chat(void) { serve_threads(serve_until_end); }
static void keep_alive(void) { serve_threads(serve_until_end); }

static void *serve_poll(void *fd) {
    char line[64];
    if (read_line((int)(size_t)fd, line, sizeof line) > 0) {
        usleep(8000000); /* until there is news */
        say((int)(size_t)fd, "news");
    }
    close((int)(size_t)fd);
    return NULL;
}
static void long_poll(void) { serve_threads(serve_poll); }

/* Ends like most servers do: without a word to those who are connected. */
static void die(int sign) {
    (void)sign;
    _exit(0);
}
static void held_at_term(void) {
    signal(SIGTERM, die);
    listener = tcp_listener();
    ready(port_of(listener));
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC); /* OPENS held_at_term */
        if (fd >= 0) start_thread(serve_until_end, (void *)(size_t)fd);
    }
}

/* A tidy end hides the leak: everything that is known is closed at shutdown. */
static int sessions[4096], session_count;
static void closed_at_shutdown(void) {
    char line[64];
    open_server();
    while (!ending()) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC); /* OPENS closed_at_shutdown */
        if (fd < 0) continue;
        bool bad = answer(fd, line, sizeof line) > 0 && strcmp(line, "bad\n") == 0;
        if (bad && session_count < 4096) {
            sessions[session_count++] = fd;
            leaked(1);
        } else close(fd);
    }
    while (session_count) close(sessions[--session_count]);
    close(listener);
}

/* One thread, epoll: on "bad" the connection is forgotten but stays registered. */
static void watch(int epoll, int fd) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = fd};
    fcntl(fd, F_SETFL, O_NONBLOCK);
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}
/* false: nobody looks at this connection again. */
static bool on_readable(int fd, bool forgets) {
    char line[64];
    for (;;) {
        ssize_t got = recv(fd, line, sizeof line - 1, 0);
        if (got < 0 && errno == EAGAIN) return true;
        if (got <= 0) break;
        line[got] = 0;
        say(fd, "ok");
        if (forgets && strcmp(line, "bad\n") == 0) {
            leaked(1);
            return false;
        }
    }
    close(fd);
    return true;
}
static void serve_epoll(bool forgets) {
    static bool ignored[65536];
    struct epoll_event events[16], event = {.events = EPOLLIN};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    open_server();
    event.data.fd = listener;
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    while (!ending())
        for (int i = 0, count = epoll_wait(epoll, events, 16, 500); i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC); /* OPENS accept_epoll epoll_idle */
                ignored[peer & 65535] = false;
                watch(epoll, peer);
            } else if (!ignored[fd & 65535]) ignored[fd & 65535] = !on_readable(fd, forgets);
        }
}
static void accept_epoll(void) { serve_epoll(true); }
static void epoll_idle(void) { serve_epoll(false); }

/* A child per connection: it answers and closes its copy; the parent keeps its own for ever, or only sometimes closes. */
static void fork_server(bool parent_closes) {
    char line[64];
    signal(SIGCHLD, SIG_IGN);
    open_server();
    while (!ending()) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC); /* OPENS fork_parent_keeps fork_child_serves */
        if (fd < 0) continue;
        if (fork() == 0) {
            close(listener);
            while (answer(fd, line, sizeof line) > 0) {}
            close(fd);
            _exit(0);
        }
        if (parent_closes) close(fd);
        else leaked(1);
    }
}
static void fork_parent_keeps(void) { fork_server(false); }
static void fork_child_serves(void) { fork_server(true); }

/* Workers forked in advance; the one that meets "bad" forgets the connection. */
static void prefork_worker(bool forgets) {
    char line[64];
    while (!ending()) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC); /* OPENS prefork prefork_clean */
        if (fd < 0) continue;
        bool bad = false;
        while (!bad && answer(fd, line, sizeof line) > 0) bad = forgets && strcmp(line, "bad\n") == 0;
        if (bad) leaked(1);
        else close(fd);
    }
    _exit(0);
}
static void prefork_with(bool forgets) {
    pid_t workers[3];
    listener = tcp_listener();
    for (int i = 0; i < 3; i++)
        if ((workers[i] = fork()) == 0) prefork_worker(forgets);
    ready(port_of(listener));
    while (!ending()) rest(500);
    for (int i = 0; i < 3; i++) kill(workers[i], SIGTERM);
    while (wait(NULL) > 0 || errno == EINTR) {}
}
static void prefork(void) { prefork_with(true); }
static void prefork_clean(void) { prefork_with(false); }

/* close() is called on every path, but a duplicate keeps the connection. */
static void dup_keeps(void) {
    char line[64];
    open_server();
    while (!ending()) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC); /* OPENS dup_keeps */
        if (fd < 0) continue;
        if (answer(fd, line, sizeof line) > 0 && strcmp(line, "bad\n") == 0 && fcntl(fd, F_DUPFD_CLOEXEC, 0) >= 0) leaked(1);
        close(fd);
    }
}

const struct scenario server_scenarios[] = {
    {"accept_thread", accept_thread}, {"accept_always", accept_always}, {"vanished", vanished}, {"chat", chat},
    {"keep_alive", keep_alive}, {"long_poll", long_poll}, {"held_at_term", held_at_term},
    {"closed_at_shutdown", closed_at_shutdown}, {"accept_epoll", accept_epoll}, {"epoll_idle", epoll_idle},
    {"fork_parent_keeps", fork_parent_keeps}, {"fork_child_serves", fork_child_serves}, {"prefork", prefork},
    {"prefork_clean", prefork_clean}, {"dup_keeps", dup_keeps}, {NULL, NULL}};
