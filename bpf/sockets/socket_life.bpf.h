/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 3: what is told of a socket when it is created, accepted or closed, whichever hook saw it. `sk` is what the hook
 * calls the socket: a context or a typed pointer; both can be looked up. */
#ifndef SOCKLEAK_SOCKET_LIFE_BPF_H
#define SOCKLEAK_SOCKET_LIFE_BPF_H

#include "base/emit.bpf.h"
#include "base/read.bpf.h"
#include "processes/filter.bpf.h"
#include "runtimes/go.bpf.h"
#include "sockets/facts.bpf.h"
#include "sockets/touch.bpf.h"
#include "sockets/tracked.bpf.h"
#include "sockets/uses.bpf.h"
#include "stacks/stack.bpf.h"
#include "unix/unix_socket.bpf.h"

static __always_inline void sl_created(struct sl_target *target, __u64 cookie, __u32 family, __u32 type, __u32 protocol,
				       __u16 flags)
{
	struct sl_socket_created *event;
	__u32 end = 0;
	__u64 stack;

	stack = sl_user_stack(target->asid, &end);
	sl_begin_touches(cookie, stack);
	event = sl_reserve(sizeof(*event));
	if (!event)
		return;
	sl_fill_header(&event->header, SL_SOCKET_CREATED, sizeof(*event));
	event->header.flags = flags;
	event->cookie = cookie;
	event->stack = stack;
	event->stack_end = end;
	event->netns = sl_current_netns();
	__builtin_memset(&event->tuple, 0, sizeof(event->tuple));
	event->tuple.family = family;
	event->tuple.type = type;
	event->tuple.protocol = sl_protocol(protocol);
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	sl_submit(event);
	sl_tell_goroutine(cookie, target->asid);
}

/* `sk`: where its facts are read, NULL = nowhere any more; `typed`: the verifier knows it. `uses`: may be NULL. */
static __always_inline void sl_tell_closed(__u64 cookie, __u32 state, __u8 how, __u64 stack, __u32 end, struct sock *sk,
					   int typed, const struct sl_uses *uses)
{
	struct sl_socket_closed *event;

	sl_end_touches(cookie, how == SL_CLOSE_EXIT);
	event = sl_reserve(sizeof(*event));
	if (!event)
		return;
	sl_fill_header(&event->header, SL_SOCKET_CLOSED, sizeof(*event));
	event->cookie = cookie;
	event->stack = stack;
	event->stack_end = end;
	event->how = how;
	event->state = state;
	__builtin_memset(event->padding, 0, sizeof(event->padding));
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	__builtin_memset(&event->facts, 0, sizeof(event->facts));
	if (sk && typed)
		sl_typed_facts(&event->facts, sk, event->header.ktime_ns);
	else if (sk)
		sl_probe_facts(&event->facts, sk, event->header.ktime_ns);
	if (sk && uses)
		sl_tell_uses(&event->facts.uses, uses, BPF_CORE_READ(sk, __sk_common.skc_family));
	sl_submit(event);
}

/* The last reference to the file is gone; runs in whoever dropped it. */
static __always_inline void sl_closed(__u64 cookie, __u32 state, struct sock *sk, int typed,
				      const struct sl_uses *uses)
{
	struct task_struct *task = sl_task();
	struct sl_target *target;
	__u64 stack = 0, call;
	__u8 how = SL_CLOSE_CALL;
	struct pt_regs *regs;
	__u32 flags, end = 0;

	flags = SL_LOAD(task, flags);
	if (flags & SL_PF_KTHREAD) {
		how = SL_CLOSE_ASYNC;
	} else if (flags & SL_PF_EXITING) {
		how = SL_CLOSE_EXIT;
	} else {
		/* Close-on-exec runs as the new image returns to user mode: the registers still say execve. */
		regs = sl_user_regs();
		call = regs ? SL_LOAD(regs, orig_ax) : 0;
		if (call == 59 || call == 322)
			how = SL_CLOSE_EXEC;
	}
	if (how == SL_CLOSE_CALL) {
		target = sl_current_target();
		if (target)
			stack = sl_user_stack(target->asid, &end);
	}
	sl_tell_closed(cookie, state, how, stack, end, sk, typed, uses);
}

/* `cookie`: 0 = nobody has asked for it, or a unix socket. `fd`: -1 = none, as in a slot of a ring, or not known yet. */
static __always_inline void sl_accepted_socket(struct sock *listener, struct sock *sk, __u64 cookie, __s32 fd)
{
	struct sl_socket_accepted *event;
	struct sl_target *target;
	__u64 stack, listener_cookie = 0;
	__u32 end = 0, is_unix;

	target = sl_current_target();
	if (!target)
		return;
	if (!sl_is_watched_sock(sk))
		return;
	is_unix = sl_is_unix(sk);
	if (is_unix) {
		cookie = sl_unix_begin(sk);
		if (!cookie)
			return;
	}
	if (listener && BPF_CORE_READ(listener, __sk_common.skc_state) == SL_TCP_LISTEN)
		listener_cookie = is_unix ? sl_unix_number(listener) : sl_probe_cookie(listener);
	/* Of a process that has just joined: from a listener that is not tracked yet. If it stays open, the iterators find it. */
	if (!is_unix && target->joined_ns > sl_listeners_known && !bpf_map_lookup_elem(&sl_listening, &listener_cookie))
		return;
	stack = sl_user_stack(target->asid, &end);
	sl_begin_touches(cookie, stack);
	event = sl_reserve(sizeof(*event));
	if (!event)
		return;
	sl_fill_header(&event->header, SL_SOCKET_ACCEPTED, sizeof(*event));
	event->cookie = cookie;
	if (!cookie && sl_adopting != SL_ADOPTING_NEWCOMERS) /* then the iterators will find it */
		sl_count(SL_COUNTER_ACCEPT_WITHOUT_COOKIE);
	event->listener_cookie = listener_cookie;
	event->stack = stack;
	event->stack_end = end;
	event->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	event->fd = fd;
	event->padding = 0;
	sl_probe_tuple(&event->tuple, sk);
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	sl_submit(event);
	if (cookie)
		sl_tell_goroutine(cookie, target->asid);
}

/* accept() on descriptor `listener_fd` returned `fd`. A function of its own: all that calls one another may have 512 bytes
 * of stack together, and sl_sys_exit() calls enough. */
__weak __noinline int sl_accepted(__u32 listener_fd, __u32 fd)
{
	struct sock *sk;

	if (!sl_current_target())
		return 0;
	sk = sl_sock_of_fd(fd);
	if (sk)
		sl_accepted_socket(sl_sock_of_fd(listener_fd), sk, sl_probe_cookie(sk), (__s32)fd);
	return 0;
}

/* Whether io_uring_complete says which request is complete: from 5.18 on (c4bb964fa092). */
#define SL_RINGS_TELL_REQUESTS bpf_core_field_exists(((struct io_kiocb *)0)->cqe)

/* A connection meets the socket of the file that accept() will return. What io_uring accepts is sl_io_uring_complete()'s
 * where that can be. */
static __always_inline void sl_grafted(struct sock *sk, __u64 cookie)
{
	struct pt_regs *regs = sl_user_regs();
	__u64 call = regs ? SL_LOAD(regs, orig_ax) : 0;
	struct sock *listener = NULL;

	if (!sl_current_target())
		return;
	if (call == 43 || call == 288) /* accept, accept4 (x86-64) */
		listener = sl_sock_of_fd((__u32)SL_LOAD(regs, di));
	else if (SL_RINGS_TELL_REQUESTS && BPF_CORE_READ(sl_task(), io_uring))
		return; /* sl_io_uring_complete() knows the listener, too */
	sl_accepted_socket(listener, sk, cookie, -1);
}

#endif
