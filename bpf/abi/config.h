/* SPDX-License-Identifier: MIT OR GPL-2.0
 * The only way configuration goes down: .rodata, written between open and load. */
#ifndef SOCKLEAK_CONFIG_H
#define SOCKLEAK_CONFIG_H

#ifndef __bpf__
#include <linux/types.h>
#endif

/* sl_touch_mode: of which sockets the last read or write is noted. It may change while the programs run. */
#define SL_TOUCHES_OF_NONE 0
#define SL_TOUCHES_OF_SUSPECTS 1
#define SL_TOUCHES_OF_ALL 2

/* sl_adopting: whether readers of the kernel's tables track what targets hold and nothing has told of. */
#define SL_ADOPTING_NOTHING 0
#define SL_ADOPTING_NEWCOMERS 1 /* in several passes, so that what happens meanwhile is found, too */
#define SL_ADOPTING_STRAGGLERS 2 /* in one look */

/* sl_config.scope: whose sockets are watched. */
#define SL_SCOPE_PROCESSES 0 /* of those that user space named, and of their children */
#define SL_SCOPE_CGROUP 1 /* of whoever is in a cgroup2 group or below it */
#define SL_SCOPE_ALL 2 /* of every process but sockleak */

/* sl_config.types: bits of the kinds of sockets that are watched; 0 = all. */
#define SL_TYPE_TCP 1
#define SL_TYPE_UDP 2
#define SL_TYPE_MPTCP 4
#define SL_TYPE_SCTP 8
#define SL_TYPE_RAW 16
#define SL_TYPE_ICMP 32 /* also what ping(8) uses without privileges */
#define SL_TYPE_OTHER 64
#define SL_TYPE_UNIX 128

/* sl_config.unix_calls: what of unix sockets is learnt from system calls, for lack of trampolines. */
#define SL_UNIX_MADE 1
#define SL_UNIX_CLOSED 2

/* sl_config.wakers: what wakes those that wait on a socket, by kind: epoll, poll() and select(), io_uring, a thread. */
#define SL_WAKERS_OF_POLL 1
#define SL_WAKERS_OF_RING 2
#define SL_WAKERS_OF_THREAD 5
#define SL_WAKERS 9

struct sl_config {
	__u32 follow_children; /* 1 = a target's children become targets */
	__u32 copy_stacks; /* 0 = never ship user stack bytes (--no-snapshot) */
	__u32 cpus; /* possible CPUs: spreads address-space ids without atomics */
	__u32 event_ring_bytes; /* wake user space when half of it is used */
	__u32 scope;
	__u32 own_tgid;
	__u32 cgroup_level; /* how deep below the root: 0 = the root itself */
	__u32 types;
	__u64 cgroup_id;
	__u32 unix_calls;
	__u32 tick_ns; /* how long a jiffy is */
	__u64 secret; /* keeps kernel addresses out of what is told */
	__u64 wakers[SL_WAKERS]; /* addresses of functions; 0 = not known */
};

#endif
