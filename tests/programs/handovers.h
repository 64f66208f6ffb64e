// What handovers.c and handovers_kept.c share: the story that the processes tell each other in shared memory.
#ifndef SOCKLEAK_TESTS_HANDOVERS_H
#define SOCKLEAK_TESTS_HANDOVERS_H

#include <err.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

struct holding {
  pid_t pid, tid;
  int fd;
  const char* via;          // as in the report
  const char* handed_over;  // "" = not at all
  bool cloexec;
};

struct told {
  uint64_t cookie;
  pid_t creator, creator_thread;
  const char* cause;   // "" = held
  const char* rule;    // "" = nothing to accuse
  const char* closed;  // how; "" = open
  int holder_count;
  struct holding holders[8];
};

struct story {
  int done[2], step[2], start[2];
  struct sockaddr_in director;
  int count;
  long place;     // a descriptor for another task to know of
  int waiting;    // connections that nobody accepts
  struct told sockets[16];
};
extern struct story* story;

struct told* tell(int fd);  // this process has made the socket
void held(struct told* told, pid_t pid, pid_t tid, int fd, const char* via, const char* how);
void held_here(struct told* told, int fd, const char* how);
int connection(int flags);
pid_t child(void (*body)(int), int fd);
void step(void);
void await(int count);
_Noreturn void rest(void);

// Kept by something that is no descriptor: handovers_kept.c.
void play_ring_slot(void);
void play_ring_request(void);
void play_ring_exit(void);
void play_blocked_call(void);
void play_mapping(void);
void play_emfile(void);
void play_invisible(void);
void play_addfd(void);

#endif
