/* Unix sockets, socket pairs, descriptors in messages, children that keep a socket. */
#include "frame.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
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

/* --- descriptors that other processes get -------------------------------------------------------------------------- */

static void send_descriptor(int over, int fd) {
    char byte = 'x', control[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    sendmsg(over, &message, MSG_NOSIGNAL);
}

static int receive_descriptor(int over) {
    int fd = -1;
    char byte, control[CMSG_SPACE(sizeof fd)];
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    if (recvmsg(over, &message, MSG_CMSG_CLOEXEC) <= 0) return -1;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header))
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}

/* The process that accepts hands each connection to another one, which forgets those that say "bad". */
static void receive_and_serve(int over, bool forgets) {
    char line[64];
    for (int fd; (fd = receive_descriptor(over)) >= 0;) {
        bool bad = false;
        while (!bad && read_line(fd, line, sizeof line) > 0) {
            say(fd, "ok");
            bad = forgets && strcmp(line, "bad\n") == 0;
        }
        if (bad) leaked(1);
        else close(fd);
    }
    _exit(0);
}
static void hand_over(bool forgets) {
    int pair[2], listener = tcp_listener();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) return;
    if (fork() == 0) {
        close(pair[0]);
        close(listener);
        receive_and_serve(pair[1], forgets);
    }
    close(pair[1]);
    ready(port_of(listener));
    struct pollfd in = {.fd = listener, .events = POLLIN};
    for (; !ending(); rest(1)) {
        if (poll(&in, 1, 20) != 1) continue;
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC); /* OPENS receiver_forgets receiver_closes */
        send_descriptor(pair[0], fd);
        close(fd);
    }
    close(pair[0]);
    wait(NULL);
}
static void receiver_forgets(void) { hand_over(true); }
static void receiver_closes(void) { hand_over(false); }

/* As inetd does it: a program is executed for each connection and has it as stdin and stdout. */
static void inetd(void) {
    int listener = tcp_listener();
    signal(SIGCHLD, SIG_IGN);
    ready(port_of(listener));
    struct pollfd in = {.fd = listener, .events = POLLIN};
    for (; !ending(); rest(1)) {
        if (poll(&in, 1, 20) != 1) continue;
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC); /* OPENS inetd */
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGTERM);
            dup2(fd, STDIN_FILENO);
            dup2(fd, STDOUT_FILENO);
            execl("/bin/cat", "cat", (char *)NULL);
            _exit(127);
        }
        close(fd);
    }
}

static void start_helper(void) {
    if (fork() != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    execl("/bin/sleep", "sleep", "200", (char *)NULL); /* a service that runs for long */
    _exit(127);
}

/* Without close-on-exec the helper has the connection for as long as it runs; the program closes its own descriptor. */
static void helper_keeps(void) {
    unsigned n = draw(6, 12), helpers = 0;
    signal(SIGCHLD, SIG_IGN);
    ready(0);
    while (next_op() >= 0) {
        int fd = socket(AF_INET, SOCK_STREAM, 0); /* OPENS helper_keeps */
        try_connect(fd, peer_port);
        ask(fd, "echo");
        if (one_in(n) && helpers++ < 20) {
            start_helper();
            leaked(1);
        }
        close(fd);
    }
}

/* Ends before its child, which has copies of everything and knows nothing of them. */
static void creator_first(void) {
    unsigned count = draw(4, 12);
    ready(0);
    while (next_op() >= 0)
        if (count > 0) {
            int fd = dial(peer_port); /* OPENS creator_first */
            ask(fd, "echo");
            leaked(1);
            count--;
        }
    if (fork() == 0) {
        sleep(1); /* outlives its parent */
        _exit(0);
    }
}

/* The job that was started keeps the port of a server that has gone. */
static void listener_inherited(void) {
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0); /* OPENS listener_inherited */
    if (bind(fd, (struct sockaddr *)&any, sizeof any) || listen(fd, 16)) return;
    ready(0);
    long op = next_op();
    double began = seconds();
    for (int started = 0; op >= 0; op = next_op()) {
        if (started++ || fork()) continue;
        execl("/bin/sleep", "sleep", "40", (char *)NULL); /* the job takes longer than the server lives */
        _exit(127);
    }
    if (seconds() - began >= 2) leaked(1);
    close(fd);
}

/* innocent: what a server listens on is the kernel's to close */
static void listeners_left(void) {
    for (unsigned i = 0, n = draw(3, 12); i < n; i++) tcp_listener(); /* OPENS listeners_left */
    ready(0);
    while (next_op() >= 0) {
        int fd = dial(peer_port);
        ask(fd, "echo");
        close(fd);
    }
}

const struct scenario local_scenarios[] = {
    {"unix_sometimes", unix_sometimes}, {"unix_always", unix_always}, {"unix_never_connected", unix_never_connected},
    {"pair_forgotten", pair_forgotten}, {"pair_workers", pair_workers}, {"unix_clean", unix_clean},
    {"receiver_forgets", receiver_forgets}, {"receiver_closes", receiver_closes}, {"inetd", inetd},
    {"helper_keeps", helper_keeps}, {"creator_first", creator_first}, {"listener_inherited", listener_inherited},
    {"listeners_left", listeners_left}, {NULL, NULL}};
