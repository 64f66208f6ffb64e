/* What the corpus' C scenarios share: parameters drawn from the seed, the load's shape, the truth.
 *
 * The process that starts a program gives it its peer's ports in the environment (PEER_PORT, PEER_REFUSED, PEER_FULL,
 * PEER_UNIX), learns its own port and pid from --ready-fd, and with --control starts and stops its load through stdin. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The next operation of the load: waits until it is due. Its number, or -1 when the program shall end. */
long next_op(void);
/* 1 to 4: how far a stepped load has risen; 2 with any other shape. */
unsigned level(void);
/* Waits, as part of what a scenario is about; ends early when the program shall end. */
void rest(unsigned milliseconds);
bool ending(void);
double seconds(void);

unsigned draw(unsigned low, unsigned high); /* both included */
bool one_in(unsigned n);

void leaked(int sockets); /* counts for the truth; negative: was closed after all */
/* To be called once, when the load may begin. A client's port is 0. */
void ready(int port);

extern int peer_port, peer_refused, peer_full;
extern const char *peer_unix;

/* What most clients and servers do. */
int tcp_listener(void);
int port_of(int fd);
int dial(int port);                     /* socket() and connect(); exits if that fails */
int unix_dial(void);
int try_connect(int fd, int port);      /* 0, or -1 and errno */
int udp_peer(int fd);                   /* connects a UDP socket to the peer */
int ask(int fd, const char *request);   /* sends a line and reads one; bytes read, 0 at the end, -1 */
int say(int fd, const char *request);   /* sends a line */
int read_line(int fd, char *line, size_t size);
void start_thread(void *(*run)(void *), void *argument); /* detached, with a small stack */

struct scenario {
    const char *name;
    void (*run)(void);
};
extern const struct scenario client_scenarios[], pool_scenarios[], server_scenarios[], local_scenarios[], cpp_scenarios[];

#ifdef __cplusplus
}
#endif
