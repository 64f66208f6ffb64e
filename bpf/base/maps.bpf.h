/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 0: every map and global, each with the reason for its size. Weak, so that all objects link into one. */
#ifndef SOCKLEAK_MAPS_BPF_H
#define SOCKLEAK_MAPS_BPF_H

#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "abi/config.h"
#include "abi/go_wire.h"
#include "abi/java_wire.h"
#include "abi/python_wire.h"
#include "abi/scope_wire.h"
#include "abi/unix_table.h"
#include "abi/wire.h"

const volatile struct sl_config sl_config __weak = {};

/* SL_ADOPTING_*. Set by user space while it reads the tables; the first time from before the hooks are attached on. */
__u32 sl_adopting __weak = 0;
/* While adopting: only of targets that joined then or later. */
__u64 sl_adopting_from __weak = 0;
/* The listeners of targets that had joined by then are marked, so that what they accept is tracked. */
__u64 sl_listeners_known __weak = 0;

/* A process whose sockets are watched. 16 k: beyond any process tree seen (user space asks for more where whole machines
 * are watched); refusals are counted. */
struct sl_target {
	__u32 asid;
	__u16 swept; /* counts up when many descriptors are closed at once: what was noted of them is void */
	__u16 shares_files; /* another process has the same descriptor table */
	__u64 start_ns;
	__u64 joined_ns; /* it may hold sockets from before; 0 = since the attach, or by fork from one that has been */
	__u64 parent_files; /* the descriptor table that its own began as a copy of */
	__u64 forked_ns;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32); /* tgid */
	__type(value, struct sl_target);
} sl_targets __weak SEC(".maps");

/* A tracked socket. Children of a listener start with a copy of its value (BPF_F_CLONE, Linux commit
 * 8f51dfc73bf1), which is how a connection in the accept queue is known to be ours. Dies with the socket. */
struct sl_socket {
	__u64 cookie; /* differs from the socket's own cookie only in a fresh copy */
	__u64 listener_cookie;
	__u8 released; /* closed by its owner: what TCP does afterwards is the kernel's business */
	__u8 reserved[7];
	struct sl_uses uses;
};
#ifdef SL_SOCKET_HASH
/* By the address of struct sock. Preallocated, because these programs run where memory may not be asked for. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__type(key, __u64);
	__type(value, struct sl_socket);
} sl_sockets __weak SEC(".maps");
#else
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct sl_socket);
} sl_sockets __weak SEC(".maps");
#endif

/* A unix socket, by its number (sl_unix_number): sockets of this family are followed by every kernel in the same way, and no
 * listener's value is needed. 5 MB; user space asks for less if they are not watched. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct sl_unix_socket);
} sl_unix __weak SEC(".maps");
__u32 sl_unix_looks __weak = 0;
/* A look that only marks what it finds: it writes nothing, so no full buffer interrupts its walk. */
__u32 sl_unix_marks_only __weak = 0;

/* Sockets of families that are not followed and that targets hold: address -> family. User space empties it before a look. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u32);
} sl_others __weak SEC(".maps");

/* How many of each family were left to the end of their process. */
#define SL_FAMILIES 64 /* AF_MAX is 46 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SL_FAMILIES);
	__type(key, __u32);
	__type(value, __u64);
} sl_others_left __weak SEC(".maps");

/* Which descriptors are unix sockets, where close() can be seen only after the fact. The oldest give way: how they were
 * closed is then not known. */
struct sl_unix_fd_key {
	__u64 files;
	__u32 fd;
	__u32 padding;
};
struct sl_unix_fd {
	__u64 number;
	__u64 sk;
	__u64 file;
	__u64 noted_ns;
	__u64 closed_ns; /* 0 = it is one; children that were forked before go on having it */
	__u32 asid;
	__u32 swept;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct sl_unix_fd_key);
	__type(value, struct sl_unix_fd);
} sl_unix_fds __weak SEC(".maps");

/* Where iterators put a record together that their stack has no room for. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sl_socket_named);
} sl_names __weak SEC(".maps");

/* Cookies of listeners that have been tracked since they listen: what is accepted from them is tracked. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u8);
} sl_listening __weak SEC(".maps");

/* Tracked MPTCP listeners: address -> identity. What they listen with is a TCP socket of the kernel's own (a subflow). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u64);
} sl_mptcp_listeners __weak SEC(".maps");

/* The targets' listeners while adopting: (netns << 16 | port) -> cookie. Finds the connections that already wait in
 * their accept queues. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u64);
} sl_listeners __weak SEC(".maps");

/* Unwind rules by (asid, pc). A program uses tens of call sites per path; user space is the only writer. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct sl_rule);
} sl_rules __weak SEC(".maps");

/* Hashes of stacks whose frames have been sent. Not LRU: an evicted hash would be sent again and again. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, __u32);
} sl_seen __weak SEC(".maps");

/* Events are ~150 bytes, three per socket: at 100 k sockets/s a drain every 100 ms needs 5 MB,
 * and user space is woken when half of it is used. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 * 1024 * 1024);
} sl_events __weak SEC(".maps");

/* Stacks apart from events, so that a cold start cannot push events out. A copy is 3 KB typically: room for
 * 10 k sockets while user space compiles its first rules (tens of milliseconds). Larger rings cost start-up time: the
 * kernel clears them. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 32 * 1024 * 1024);
} sl_stacks __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SL_COUNTER_MAX);
	__type(key, __u32);
	__type(value, __u64);
} sl_counters __weak SEC(".maps");

/* Of which sockets the last read or write is noted: SL_TOUCHES_*. */
__u32 sl_touch_mode __weak = SL_TOUCHES_OF_NONE;

/* Since when uses are counted; 0 = they are not. Before 6.6 only those of IPv4 sockets are seen. */
__u64 sl_uses_from __weak = 0;
__u32 sl_uses_of_ipv4 __weak = 0;

/* By cookie; an entry says that the socket is of interest. The oldest give way. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct sl_touch);
} sl_touches __weak SEC(".maps");

/* Of Go's sockets, where a read found nothing last: a connection that idles in a pool is waited for by the pool's code.
 * Told only if nothing was read or written since. */
struct sl_wait {
	__u64 ktime_ns;
	__u64 stack;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct sl_wait);
} sl_waits __weak SEC(".maps");

/* Creation stacks of suspected sites. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u8);
} sl_suspects __weak SEC(".maps");

/* Counts up when user space takes rules or stacks back: what was remembered before is no longer good. */
__u32 sl_rule_generation __weak = 0;

/* What a walk depended on: where it began, and the words of the stack it read. Threads that make and close sockets in
 * a loop come back to the same few. 8 bytes * 2^15 reach 256 KB up the stack. */
#define SL_WALK_READS 128
#define SL_PLACE_LEADS 0x8000 /* the word is no return address but led to one: a saved bp, a deref'd CFA */
struct sl_walk {
	__u64 pc, sp, bp;
	__u64 asid;
	__u64 hash; /* of the whole stack */
	__u64 leads; /* hash of the words that led on */
	__u32 generation;
	__u32 needs_bp; /* a rule went on from the bp that the walk began with */
	__u64 reads;
	struct {
		__u16 at; /* (address - sp) / 8, in the order read */
		__u16 word; /* the low bits, to see soon that it is another walk */
	} places[SL_WALK_READS];
};
/* Per CPU, 73 KB, in sets of four: two callers of one function begin their walks alike. */
#define SL_WALK_WAYS 4
#define SL_WALKS 128
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SL_WALKS);
	__type(key, __u32);
	__type(value, struct sl_walk);
} sl_walks __weak SEC(".maps");

/* The walker's sliding view of the user stack. Programs may be preempted, so its owner is checked: stack.bpf.h. */
#define SL_WINDOW_BYTES 1024
struct sl_window {
	__u64 owner; /* thread and turn: whoever fills the window now */
	__u64 turns;
	__u64 base;
	__u64 bytes; /* valid from base */
	/* the walk that uses the window */
	__u64 pc, sp, bp;
	__u64 anchor; /* stack pointer that the frames must stay near */
	__u64 hash;
	__u64 count;
	__u64 bp_from; /* where bp was read from; 0 = it is the one the walk began with */
	__u64 slot; /* in sl_walks: the one to compare with */
	__u64 victim; /* in sl_walks: the one to give up for this walk */
	__u64 recalled; /* hash of the remembered walk that this one is; 0 = none */
	struct sl_walk walk; /* what this walk depends on */
	__u64 end; /* SL_WALK_*; 0 = goes on */
	__u64 interrupted; /* pc was interrupted by a signal */
	__u64 missed; /* there is no rule for pc */
	__u64 flags; /* of the record that the stack is sent in */
	__u64 words[SL_WINDOW_BYTES / 8];
	__u64 frames[SL_MAX_FRAMES + 1]; /* one more: keeps the index mask simple */
	/* the walk along the Python frames: python.bpf.h */
	__u64 interpreted; /* a frame was the interpreter's */
	__u64 python_frame;
	__u64 python_count;
	__u64 python_end;
	struct sl_python_frame python[SL_PYTHON_FRAMES];
	/* frames of HotSpot's interpreter: java.bpf.h */
	__u64 java_count;
	struct sl_java_frame java[SL_MAX_FRAMES + 1];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sl_window);
} sl_windows __weak SEC(".maps");

/* Interpreters by asid; user space is the only writer. As many as targets could be Python programs. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct sl_python);
} sl_pythons __weak SEC(".maps");

/* Programs made by Go, by asid; user space is the only writer, apart from those it has named by their files. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct sl_go);
} sl_gos __weak SEC(".maps");

/* The same by file: what such a program does first is not missed. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct sl_go_file);
	__type(value, struct sl_go);
} sl_go_files __weak SEC(".maps");

/* Per-CPU count of address-space ids given out here. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} sl_asids __weak SEC(".maps");

static __always_inline void sl_count(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&sl_counters, &counter);

	if (value)
		*value += 1;
}

#endif
