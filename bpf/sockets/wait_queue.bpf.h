/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 1: who waits on a socket: what sleeps in its wait queue. Entries are told apart by the function that wakes them, whose
 * addresses user space knows; where it does not, a queue is empty or says nothing.
 * Whoever includes this says where the addresses are: SL_WAKER(i). */
#ifndef SOCKLEAK_WAIT_QUEUE_BPF_H
#define SOCKLEAK_WAIT_QUEUE_BPF_H

#define SL_WAITERS_MAX 8 /* looked at; the others mostly do the same */

/* 1 << SL_WAITER_* of what such a function wakes. Without a branch: the addresses are constants to the verifier, which would
 * follow every way through the comparisons, and how many those are depends on where this kernel lies in memory. */
static __always_inline __u32 sl_waiters_of(__u64 wakes)
{
	__u32 waiters = 0;
	int i;

	for (i = 0; i < SL_WAKERS; i++) {
		__u64 differs = wakes ^ SL_WAKER(i), negative = -differs;

		barrier_var(negative); /* or the compiler finds the comparison in it, and branches */
		waiters |= (__u32)((differs | negative) >> 63 ^ 1) << (i < SL_WAKERS_OF_POLL   ? SL_WAITER_EPOLL :
								       i < SL_WAKERS_OF_RING   ? SL_WAITER_POLL :
								       i < SL_WAKERS_OF_THREAD ? SL_WAITER_RING :
												 SL_WAITER_THREAD);
	}
	return waiters;
}

/* Entries come and go meanwhile, many of them on threads' stacks: what cannot be read, or makes no sense, is not known. */
static __always_inline __u8 sl_waiter_in(struct socket_wq *queue)
{
	struct list_head *at, *head;
	struct wait_queue_entry *entry;
	__u32 waiters = 0;
	__u64 wakes;
	int i;

	if (!queue) /* has no file: not accepted yet, or closed */
		return SL_WAITER_NOBODY;
	head = (struct list_head *)((char *)queue + bpf_core_field_offset(struct socket_wq, wait.head));
	at = BPF_CORE_READ(head, next);
	if (at == head)
		return SL_WAITER_NOBODY;
	for (i = 0; i < SL_WAITERS_MAX; i++) {
		if (!at || at == head)
			break;
		entry = (struct wait_queue_entry *)((char *)at - bpf_core_field_offset(struct wait_queue_entry, entry));
		wakes = (__u64)BPF_CORE_READ(entry, func);
		if (wakes) /* a function whose address is not known has 0 */
			waiters |= sl_waiters_of(wakes);
		at = BPF_CORE_READ(at, next);
	}
	return waiters & 1 << SL_WAITER_THREAD ? SL_WAITER_THREAD :
	       waiters & 1 << SL_WAITER_RING   ? SL_WAITER_RING :
	       waiters & 1 << SL_WAITER_POLL   ? SL_WAITER_POLL :
	       waiters & 1 << SL_WAITER_EPOLL  ? SL_WAITER_EPOLL :
						 SL_WAITER_UNKNOWN;
}

#endif
