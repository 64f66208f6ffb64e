/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 1: who waits on a socket: what sleeps in its wait queue. Entries are told apart by the function that wakes them, whose
 * addresses user space knows; where it does not, a queue is empty or says nothing.
 * Whoever includes this says where the addresses are: SL_WAKER(i). */
#ifndef SOCKLEAK_WAIT_QUEUE_BPF_H
#define SOCKLEAK_WAIT_QUEUE_BPF_H

#define SL_WAITERS_MAX 8 /* looked at; the others mostly do the same */

static __always_inline __u8 sl_waiter_of(__u64 wakes)
{
	__u8 waiter = SL_WAITER_UNKNOWN;
	int i;

	if (!wakes)
		return waiter;
	for (i = 0; i < SL_WAKERS; i++) {
		if (wakes == SL_WAKER(i))
			waiter = i < SL_WAKERS_OF_POLL   ? SL_WAITER_EPOLL :
				 i < SL_WAKERS_OF_RING   ? SL_WAITER_POLL :
				 i < SL_WAKERS_OF_THREAD ? SL_WAITER_RING :
							   SL_WAITER_THREAD;
	}
	return waiter;
}

/* Entries come and go meanwhile, many of them on threads' stacks: what cannot be read, or makes no sense, is not known. */
static __always_inline __u8 sl_waiter_in(struct socket_wq *queue)
{
	struct list_head *at, *head;
	struct wait_queue_entry *entry;
	__u8 most = SL_WAITER_UNKNOWN, waiter;
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
		waiter = sl_waiter_of((__u64)BPF_CORE_READ(entry, func));
		if (waiter > most)
			most = waiter;
		if (most == SL_WAITER_THREAD)
			break;
		at = BPF_CORE_READ(at, next);
	}
	return most;
}

#endif
