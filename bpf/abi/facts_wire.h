/* SPDX-License-Identifier: MIT OR GPL-2.0
 *
 * Part of wire.h: what the kernel knows of one socket's use, as a look at its tables or its last close finds it.
 */
#ifndef SOCKLEAK_FACTS_WIRE_H
#define SOCKLEAK_FACTS_WIRE_H

/* Reads and writes less than this apart are one burst. */
#define SL_BURST_GAP_NS 200000000

/* sl_facts.flags */
#define SL_FACTS_KNOWN 1 /* the others mean something */
#define SL_FACTS_ATTEMPTED 2 /* TCP: a connection was once begun */
#define SL_FACTS_WINDOW_CLOSED 4 /* TCP: the peer has no room */
#define SL_FACTS_END_CAME 8 /* the peer's FIN is here (unix: the peer has gone), or the connection has failed */
#define SL_FACTS_END_READ 16 /* TCP: ... and the program has been told */

/* sl_facts.waiter: what sleeps in the socket's wait queue; of several the one with the highest number. */
#define SL_WAITER_UNKNOWN 0
#define SL_WAITER_NOBODY 1
#define SL_WAITER_EPOLL 2
#define SL_WAITER_POLL 3
#define SL_WAITER_RING 4
#define SL_WAITER_THREAD 5

/* Reads and writes that succeeded, while they were counted. */
struct sl_uses {
	__u64 since_ns; /* 0 = not counted */
	__u64 first_ns;
	__u64 last_ns;
	__u64 longest_gap_ns; /* between two bursts */
	__u32 bursts;
	__u32 padding;
};

struct sl_facts {
	__u64 last_sent_ns; /* TCP: data, 0 = never */
	__u64 last_received_ns; /* TCP: data, 0 = never */
	__u64 last_segment_ns; /* TCP: anything from the peer */
	struct sl_uses uses;
	__u32 unread; /* bytes, without the FIN; UDP: charged to the queue; unix: of the first messages */
	__u32 unacknowledged; /* TCP: bytes, without SYN and FIN */
	__u8 flags; /* SL_FACTS_* */
	__u8 waiter; /* SL_WAITER_* */
	__u8 padding[6];
};

#endif
