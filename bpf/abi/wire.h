/* SPDX-License-Identifier: MIT OR GPL-2.0
 *
 * The one ABI between bpf/ and userspace/: every record that crosses the ring buffers or an iterator.
 * Compiles as BPF C (after vmlinux.h) and as C++20. Rules: fixed-width types only, explicit padding, a
 * header first, sizes asserted in wire_sizes.h and layouts compared with BTF in tests/abi. Any change bumps
 * SL_WIRE_VERSION; a reader skips and counts record types it does not know.
 *
 * Times are CLOCK_MONOTONIC nanoseconds (bpf_ktime_get_ns), process start times are boot-time nanoseconds
 * (task->group_leader->start_boottime). Addresses are network byte order bytes, ports host byte order.
 */
#ifndef SOCKLEAK_WIRE_H
#define SOCKLEAK_WIRE_H

#ifndef __bpf__
#include <linux/types.h>
#endif

#define SL_WIRE_VERSION 8
#define SL_COMM_LEN 16
#define SL_MAX_FRAMES 127
#define SL_MAX_ANCESTORS 10

/* Record types. 1..99 come from the kernel, 100.. are written by user space into the same stream. */
#define SL_SOCKET_CREATED 1
#define SL_SOCKET_ACCEPTED 2
#define SL_STATE_CHANGED 3
#define SL_SOCKET_CLOSED 4
#define SL_SOCKET_DESTROYED 5
#define SL_PROCESS_FORKED 6
#define SL_PROCESS_EXECED 7
#define SL_PROCESS_EXITED 8
#define SL_PROCESS_FREED 9
#define SL_DESCRIPTOR_RECEIVED 10
#define SL_SOCKET_TOUCHED 11
#define SL_SOCKET_GOROUTINE 12
#define SL_GOROUTINE_ANCESTORS 13
#define SL_SOCKET_WAITED 14
#define SL_SOCKET_NAMED 15
#define SL_STACK_SEEN 20
#define SL_STACK_MISSED 21
#define SL_SNAPSHOT_SOCKET 30
#define SL_SNAPSHOT_HOLDER 31
#define SL_SESSION_BEGIN 100
#define SL_SNAPSHOT_BEGIN 101
#define SL_SNAPSHOT_END 102
#define SL_COMMAND_ENDED 103
#define SL_SNAPSHOT_CAUSE 104
#define SL_SNAPSHOT_LIMIT 105
#define SL_SNAPSHOT_THREAD 106

/* How the last reference to a socket went away (sl_socket_closed.how). */
#define SL_CLOSE_CALL 1 /* close(2) and friends by a living task */
#define SL_CLOSE_EXIT 2 /* the kernel, while the last task of the process exits */
#define SL_CLOSE_EXEC 3 /* close-on-exec */
#define SL_CLOSE_ASYNC 4 /* a kernel thread: io_uring teardown, delayed fput, unix garbage collection */
#define SL_CLOSE_UNSEEN 5 /* no hook saw it: the kernel's table has it no more (user space) */

/* How a process got a descriptor that another one had (sl_descriptor_received.how). */
#define SL_RECEIVED_MESSAGE 1 /* SCM_RIGHTS */
#define SL_RECEIVED_PIDFD 2 /* pidfd_getfd(2) */

/* sl_socket_created.header.flags */
#define SL_CREATED_IN_PAIR 1 /* socketpair() */

/* sl_process_forked.header.flags */
#define SL_FORK_SHARES_FILES 1 /* CLONE_FILES: one descriptor table for both */

/* sl_stack_seen.header.flags */
#define SL_STACK_LOGICAL 1 /* the program's own list: inlined calls have program counters of their own */

/* What keeps a socket's file open (sl_snapshot_holder.via, where 0 is what recordings before version 3 say). */
#define SL_VIA_FD 1
#define SL_VIA_IO_URING_SLOT 2 /* registered with a ring: has no descriptor */
#define SL_VIA_IN_FLIGHT 3 /* SCM_RIGHTS, waiting in a unix socket's queue */
#define SL_VIA_MAPPING 4
#define SL_VIA_ENDING_TASK 5 /* its close is pending work of a task that has not finished exiting */
#define SL_VIA_REQUEST 6 /* an io_uring request that waits on it */
#define SL_VIA_SLEEPER 7 /* a thread asleep in a system call on it */

/* Why a socket is there although no descriptor that everybody sees refers to it (sl_snapshot_cause.cause). */
#define SL_CAUSE_NONE 0
#define SL_CAUSE_ACCEPT_QUEUE 1
#define SL_CAUSE_ORPHAN 2
#define SL_CAUSE_STUCK_EXIT 3
#define SL_CAUSE_IN_FLIGHT 4
#define SL_CAUSE_RING_SLOT 5
#define SL_CAUSE_RING_REQUEST 6
#define SL_CAUSE_BLOCKED_CALL 7
#define SL_CAUSE_MAPPING 8
#define SL_CAUSE_KERNEL 9
#define SL_CAUSE_MPTCP_SUBFLOW 10
#define SL_CAUSE_TIME_WAIT 11
#define SL_CAUSE_REQUEST 12
#define SL_CAUSE_ZOMBIE_LEADER 13
#define SL_CAUSE_UNSHARED_FILES 14
#define SL_CAUSE_HIDDEN 15
#define SL_CAUSE_UNKNOWN 16

/* How a stack walk ended. Never merged: only COMPLETE is a whole stack. */
#define SL_WALK_COMPLETE 1 /* reached a frame whose rule says there is no caller */
#define SL_WALK_MISSING_RULE 2 /* no rule for a program counter: user space continues from a copy */
#define SL_WALK_DEPTH 3 /* SL_MAX_FRAMES reached */
#define SL_WALK_READ_FAILED 4 /* user memory was not readable */
#define SL_WALK_INSANE 5 /* the next frame would not lie above this one, or no code address */
#define SL_WALK_CONTENDED 6 /* the per-CPU window was taken over by another task */
#define SL_WALK_NO_USER 7 /* kernel thread or exiting task: there is no user stack */
#define SL_WALK_NO_SPACE 8 /* the ring for stack copies was full */

/* Unwind rules: how to get from one frame to its caller (unwinding facts: CFA in DWARF 5 section 6.4). */
#define SL_RULE_SP 1 /* CFA = sp + cfa_offset */
#define SL_RULE_BP 2 /* CFA = bp + cfa_offset */
#define SL_RULE_SP_DEREF 3 /* CFA = *(sp + cfa_offset), a realigned frame */
#define SL_RULE_BP_DEREF 4 /* CFA = *(bp + cfa_offset) */
#define SL_RULE_STOP 5 /* no caller: outermost frame, or (cfa_offset = 1) no unwind information */
#define SL_RULE_SIGNAL 6 /* signal trampoline: registers are in the ucontext at sp */
#define SL_RULE_BP_SWITCH 7 /* CFA = bp + cfa_offset, on another stack: C code called from Go */

struct sl_rule {
	__s32 cfa_offset;
	__s16 bp_offset; /* saved bp at CFA + bp_offset; 0 = bp unchanged (BP_DEREF: saved where bp points) */
	__u8 kind;
	__u8 source; /* user space's note where the rule came from; BPF ignores it */
};

/* Rules are keyed by program counter and address-space id: x86-64 user addresses have 47 bits. */
#define SL_ASID_SHIFT 47
#define SL_ASID_MAX ((1u << 17) - 1)

struct sl_header {
	__u32 size;
	__u16 type;
	__u16 flags; /* 0 unless said at the record */
	__u64 ktime_ns;
	__u32 tgid; /* of the task that ran when the event happened; 0 in softirq */
	__u32 tid;
	__u64 start_ns; /* start of that process: tells a reused pid from the old one */
};

struct sl_tuple {
	__u8 local[16]; /* IPv4 in the first four bytes */
	__u8 remote[16];
	__u16 local_port;
	__u16 remote_port;
	__u16 family;
	__u8 type;
	__u8 protocol;
};

#include "facts_wire.h"

struct sl_socket_created {
	struct sl_header header;
	__u64 cookie;
	__u64 stack; /* hash of the creation stack; 0 = none (see stack_end) */
	__u32 netns; /* inode of the network namespace */
	__u32 stack_end; /* SL_WALK_* */
	struct sl_tuple tuple;
	char comm[SL_COMM_LEN];
};

struct sl_socket_accepted {
	struct sl_header header;
	__u64 cookie; /* 0 = the socket had none yet */
	__u64 listener_cookie;
	__u64 stack;
	__u32 netns;
	__u32 stack_end;
	__s32 fd;
	__u32 padding;
	struct sl_tuple tuple;
	char comm[SL_COMM_LEN];
};

struct sl_state_changed {
	struct sl_header header;
	__u64 cookie;
	__u64 listener_cookie; /* of the listener an unaccepted child came from; 0 = not a passive open */
	__u32 netns;
	__u8 old_state;
	__u8 new_state;
	__u8 padding[2];
	struct sl_tuple tuple;
};

struct sl_socket_closed {
	struct sl_header header;
	__u64 cookie;
	__u64 stack;
	__u32 stack_end;
	__u8 how; /* SL_CLOSE_* */
	__u8 state; /* TCP state when close began */
	__u8 padding[2];
	char comm[SL_COMM_LEN];
	struct sl_facts facts; /* from version 7 on, here and in snapshots */
};

#define SL_TOUCH_RECEIVE 1
#define SL_TOUCH_SEND 2

/* The last time that somebody read from or wrote to a socket. */
struct sl_touch {
	__u64 ktime_ns;
	__u64 start_ns; /* of process tgid */
	__u64 stack;
	__u32 tgid;
	__u32 tid;
	__s32 result; /* bytes, or -errno */
	__u32 stack_end;
	__u8 what; /* SL_TOUCH_*; 0 = not touched since sockleak looks */
	__u8 padding[7];
};

/* Told when it can no longer be asked for (the end of the process), or by user space that has asked. */
struct sl_socket_touched {
	struct sl_header header;
	__u64 cookie;
	struct sl_touch touch;
};

struct sl_socket_destroyed {
	struct sl_header header;
	__u64 cookie;
};

struct sl_process_forked {
	struct sl_header header; /* of the parent */
	__u64 child_start_ns;
	__u32 child_tgid;
	__u32 asid; /* the child shares the parent's rules */
	char comm[SL_COMM_LEN];
};

struct sl_process_execed {
	struct sl_header header;
	__u32 asid; /* the new image's */
	__u32 padding;
	char comm[SL_COMM_LEN];
};

struct sl_process_exited {
	struct sl_header header;
	__s32 exit_code; /* as wait(2) reports it */
	__u32 padding;
};

struct sl_process_freed {
	struct sl_header header;
};

/* A descriptor of another process was installed in this one. Not told of every way: io_uring's are not. */
struct sl_descriptor_received {
	struct sl_header header;
	__u64 cookie;
	__s32 fd; /* -1 = not known */
	__u8 how; /* SL_RECEIVED_* */
	__u8 padding[3];
};

/* After a socket was created or accepted: the goroutine that did it. */
struct sl_socket_goroutine {
	struct sl_header header;
	__u64 cookie;
	__u64 goroutine; /* its id */
	__u64 parent; /* the id of the goroutine that created it; 0 = not known */
	__u64 created_at; /* the stack that is the `go` statement alone; 0 = none */
};

struct sl_ancestor {
	__u64 goroutine;
	__u64 stack; /* 0 = lost */
};

/* After sl_socket_goroutine: that goroutine's parent, the parent's parent and so on. */
struct sl_goroutine_ancestors {
	struct sl_header header;
	__u64 cookie;
	__u8 count;
	__u8 exact; /* stacks as they were at the `go` statements; 0 = where they are now */
	__u8 padding[6];
	struct sl_ancestor ancestors[SL_MAX_ANCESTORS];
};

/* Before a socket of Go is closed by the end of its process: where it was waited for. */
struct sl_socket_waited {
	struct sl_header header;
	__u64 cookie;
	__u64 stack;
};

/* A stack whose hash was not seen before: frames[0] is the syscall instruction's return address. */
struct sl_stack_seen {
	struct sl_header header;
	__u64 stack;
	__u32 asid;
	__u16 count;
	__u8 end; /* SL_WALK_* */
	__u8 padding;
	__u64 frames[SL_MAX_FRAMES];
};

/* A walk that lacks a rule: frames so far, registers of the frame without rule and `length` bytes of the
 * stack from `sp` on. The bytes follow the struct. Live memory only: never written to disk. */
struct sl_stack_missed {
	struct sl_header header;
	__u64 stack; /* ticket: unique, stands for the stack until user space has resolved it */
	__u64 pc;
	__u64 sp;
	__u64 bp;
	__u32 asid;
	__u32 length;
	__u64 wanted; /* bytes from sp to the stack's end, if known; more than length = copy is cut */
	__u16 count;
	__u8 interrupted; /* pc was interrupted by a signal: it is no return address */
	__u8 padding[5];
	__u64 frames[SL_MAX_FRAMES];
};

/* iter/tcp: a tracked TCP socket as the kernel sees it, whether or not a descriptor refers to it. */
struct sl_snapshot_socket {
	struct sl_header header;
	__u64 cookie;
	__u64 inode; /* 0 = no struct socket: in an accept queue, or orphaned */
	__u64 rx_bytes;
	__u64 tx_bytes;
	__u32 netns;
	__u8 state;
	__u8 dead; /* SOCK_DEAD: closed, kernel finishes alone */
	__u8 padding[2];
	struct sl_tuple tuple;
	struct sl_facts facts;
};

/* iter/task_file: header.tgid/tid hold descriptor `fd` on the tracked socket. User space adds what holds it otherwise,
 * after the snapshot's end: `fd` is then the slot of a ring, or the descriptor of the unix socket in whose queue it
 * waits, or -1. */
struct sl_snapshot_holder {
	struct sl_header header;
	__u64 cookie;
	__u64 inode;
	__u64 rx_bytes;
	__u64 tx_bytes;
	__u64 listener_cookie;
	__u32 netns;
	__s32 fd;
	__u8 state;
	__u8 close_on_exec;
	__u8 via; /* SL_VIA_* */
	__u8 padding[5];
	struct sl_tuple tuple;
	char comm[SL_COMM_LEN];
	struct sl_facts facts;
};

/* User space: brackets one snapshot; header.ktime_ns is when it began / ended. */
struct sl_snapshot_mark {
	struct sl_header header;
	__u32 complete; /* 1 = every iterator was read to its end */
	__u32 padding;
};

#define SL_EVIDENCE_LEN 216

/* User space, after a snapshot: why the tracked socket is there if no descriptor says so; of a listener, its queue. */
struct sl_snapshot_cause {
	struct sl_header header;
	__u64 cookie;
	__u32 waiting; /* LISTEN: connections to be accepted */
	__u32 backlog; /* LISTEN: how many may wait */
	__u8 cause; /* SL_CAUSE_* */
	__u8 ownerless;
	__u8 padding[6];
	char evidence[SL_EVIDENCE_LEN]; /* one clause, may be cut */
};

/* User space, after a snapshot: a process (header.tgid; start_ns may be 0) near its RLIMIT_NOFILE. */
struct sl_snapshot_limit {
	struct sl_header header;
	__u64 used;
	__u64 limit;
	char comm[SL_COMM_LEN];
};

/* User space, after a snapshot: a thread (header.tgid, tid) that made a socket which is still open; header.flags. */
#define SL_THREAD_LIVES 1
struct sl_snapshot_thread {
	struct sl_header header;
};

/* User space: the session began (hooks attached), or the command it started ended. */
struct sl_session_mark {
	struct sl_header header;
	__s32 status; /* SL_COMMAND_ENDED: wait status */
	__u32 padding;
};

#include "counter_numbers.h"
#include "unix_wire.h"
#include "wire_sizes.h"

#endif /* SOCKLEAK_WIRE_H */
