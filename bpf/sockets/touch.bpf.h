/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 3: how often a socket is used, and where it was read or written last. The latter only of sockets that user space is interested in: those that have an
 * entry in sl_touches. One is made at birth if the socket's creation stack is suspected (or all are), or by user space. */
#ifndef SOCKLEAK_TOUCH_BPF_H
#define SOCKLEAK_TOUCH_BPF_H

#include "base/emit.bpf.h"
#include "processes/filter.bpf.h"
#include "sockets/tracked.bpf.h"
#include "sockets/uses.bpf.h"
#include "stacks/stack.bpf.h"
#include "unix/unix_socket.bpf.h"

#define SL_EAGAIN 11

/* A socket was made by `stack`: from now on its reads and writes are noted, if they are of interest. */
static __always_inline void sl_begin_touches(__u64 cookie, __u64 stack)
{
	struct sl_touch none = {};

	if (sl_touch_mode == SL_TOUCHES_OF_NONE || !cookie)
		return;
	if (sl_touch_mode != SL_TOUCHES_OF_ALL && !bpf_map_lookup_elem(&sl_suspects, &stack))
		return;
	bpf_map_update_elem(&sl_touches, &cookie, &none, BPF_NOEXIST);
}

/* `result`: bytes, 0 at the peer's end, or -errno. A call that found nothing to do is no touch; of Go it is a wait. One that
 * moved data is a use. */
static __always_inline void sl_touched(struct sock *sk, __s32 result, __u8 what)
{
	__u32 end = 0, waits = result == -SL_EAGAIN;
	struct sl_unix_socket *unix_socket;
	struct sl_wait wait = {};
	struct sl_target *target;
	struct sl_socket *socket;
	struct sl_touch *touch;
	struct sl_uses *uses;
	__u64 cookie = 0, stack;
	__u32 asid;
	__u64 id;

	if (!sk || (waits && what != SL_TOUCH_RECEIVE))
		return;
	target = sl_current_target();
	if (!target)
		return;
	asid = target->asid;
	if (waits && !bpf_map_lookup_elem(&sl_gos, &asid))
		return;
	if (sl_is_unix(sk)) {
		cookie = sl_unix_number(sk);
		unix_socket = bpf_map_lookup_elem(&sl_unix, &cookie);
		if (!unix_socket)
			return;
		uses = &unix_socket->uses;
	} else {
		socket = sl_find_socket(sk);
		if (!socket || socket->released)
			return;
		uses = &socket->uses;
	}
	if (sl_uses_from && result > 0)
		sl_count_use(uses);
	if (sl_touch_mode == SL_TOUCHES_OF_NONE)
		return;
	if (!cookie)
		cookie = sl_cookie(sk);
	touch = bpf_map_lookup_elem(&sl_touches, &cookie);
	if (!touch)
		return;
	stack = sl_user_stack(target->asid, &end);
	if (waits) {
		wait.ktime_ns = bpf_ktime_get_ns();
		wait.stack = stack;
		bpf_map_update_elem(&sl_waits, &cookie, &wait, BPF_ANY);
		return;
	}
	id = bpf_get_current_pid_tgid();
	touch->ktime_ns = bpf_ktime_get_ns();
	touch->start_ns = SL_LOAD(sl_task(), group_leader, start_boottime);
	touch->stack = stack;
	touch->tgid = id >> 32;
	touch->tid = (__u32)id;
	touch->result = result;
	touch->stack_end = end;
	touch->what = what;
}

/* Where the socket was waited for when its process ended. */
static __always_inline void sl_tell_wait(__u64 cookie, const struct sl_touch *touch)
{
	struct sl_wait *wait = bpf_map_lookup_elem(&sl_waits, &cookie);
	struct sl_socket_waited *event;

	if (!wait || wait->ktime_ns < touch->ktime_ns)
		return;
	event = sl_reserve(sizeof(*event));
	if (!event)
		return;
	sl_fill_anonymous_header(&event->header, SL_SOCKET_WAITED, sizeof(*event));
	event->cookie = cookie;
	event->stack = wait->stack;
	sl_submit(event);
}

/* The socket is closed. If only the end of its process did that, its last touch is told: nobody can ask later. */
static __always_inline void sl_end_touches(__u64 cookie, int tell)
{
	struct sl_socket_touched *event;
	struct sl_touch *touch;

	if (sl_touch_mode == SL_TOUCHES_OF_NONE)
		return;
	touch = bpf_map_lookup_elem(&sl_touches, &cookie);
	if (!touch)
		return;
	if (tell && touch->what) {
		event = sl_reserve(sizeof(*event));
		if (event) {
			sl_fill_anonymous_header(&event->header, SL_SOCKET_TOUCHED, sizeof(*event));
			event->cookie = cookie;
			__builtin_memcpy(&event->touch, touch, sizeof(event->touch));
			sl_submit(event);
		}
	}
	if (tell)
		sl_tell_wait(cookie, touch);
	bpf_map_delete_elem(&sl_waits, &cookie);
	bpf_map_delete_elem(&sl_touches, &cookie);
}

#endif
