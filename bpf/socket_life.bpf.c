// SPDX-License-Identifier: MIT OR GPL-2.0
/* A socket from birth to end: created, accepted, TCP state changes, last close, destroyed. */
#include "emit.bpf.h"
#include "filter.bpf.h"
#include "read.bpf.h"
#include "stack.bpf.h"

char sl_license[] SEC("license") __weak = "Dual MIT/GPL";

/* End of inet_create()/inet6_create() for user sockets (kern == 0), in the context of the creating task. */
SEC("cgroup/sock_create")
int sl_sock_create(struct bpf_sock *ctx)
{
	struct sl_target *target = sl_current_target();
	struct sl_socket_created *event;
	struct sl_socket *socket;
	__u32 end = 0;
	__u64 stack;

	if (!target || !sl_is_inet(ctx->family))
		return 1;
	socket = bpf_sk_storage_get(&sl_sockets, ctx, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!socket) {
		sl_count(SL_COUNTER_STORAGE_FULL);
		return 1;
	}
	socket->cookie = bpf_get_socket_cookie(ctx);
	stack = sl_user_stack(target->asid, &end);
	event = sl_reserve(sizeof(*event));
	if (!event)
		return 1;
	sl_fill_header(&event->header, SL_SOCKET_CREATED, sizeof(*event));
	event->cookie = socket->cookie;
	event->stack = stack;
	event->stack_end = end;
	event->netns = sl_current_netns();
	__builtin_memset(&event->tuple, 0, sizeof(event->tuple));
	event->tuple.family = ctx->family;
	event->tuple.type = ctx->type;
	event->tuple.protocol = sl_protocol(ctx->protocol);
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	sl_submit(event);
	return 1;
}

/* inet_release() of user sockets: the last reference to the file is gone. Runs in whoever dropped it. */
SEC("cgroup/sock_release")
int sl_sock_release(struct bpf_sock *ctx)
{
	struct sl_socket *socket = bpf_sk_storage_get(&sl_sockets, ctx, 0, 0);
	struct task_struct *task = sl_task();
	struct sl_socket_closed *event;
	struct sl_target *target;
	__u64 stack = 0, call;
	__u8 how = SL_CLOSE_CALL;
	struct pt_regs *regs;
	__u32 flags, end = 0;

	if (!socket || socket->released)
		return 1;
	socket->released = 1;
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
	event = sl_reserve(sizeof(*event));
	if (!event)
		return 1;
	sl_fill_header(&event->header, SL_SOCKET_CLOSED, sizeof(*event));
	event->cookie = bpf_get_socket_cookie(ctx);
	event->stack = stack;
	event->stack_end = end;
	event->how = how;
	event->state = ctx->state;
	__builtin_memset(event->padding, 0, sizeof(event->padding));
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	sl_submit(event);
	return 1;
}

/* Raised before sk->sk_state is stored. Softirq for most transitions: `current` says nothing. */
static __always_inline int sl_state(struct sock *sk, int old_state, int new_state)
{
	struct sl_state_changed *event;
	struct sl_socket *socket;
	__u64 cookie;

	/* Up to 6.12 a child still has its listener's cookie and addresses at LISTEN -> SYN_RECV
	 * (inet_csk_clone_lock); its SYN_RECV -> ESTABLISHED has its own. SYN_SENT says nothing new. */
	if (new_state == SL_TCP_SYN_RECV || new_state == SL_TCP_SYN_SENT || !sk)
		return 0;
	socket = bpf_sk_storage_get(&sl_sockets, sk, 0, 0);
	if (!socket)
		return 0;
	cookie = bpf_get_socket_cookie(sk);
	if (socket->cookie != cookie) { /* first sight of a child: the value is its listener's */
		socket->listener_cookie = socket->cookie;
		socket->cookie = cookie;
		socket->released = 0;
	}
	if (socket->released)
		return 0;
	event = sl_reserve(sizeof(*event));
	if (!event)
		return 0;
	sl_fill_anonymous_header(&event->header, SL_STATE_CHANGED, sizeof(*event));
	event->cookie = cookie;
	event->listener_cookie = socket->listener_cookie;
	event->netns = sk->__sk_common.skc_net.net->ns.inum;
	event->old_state = old_state;
	event->new_state = new_state;
	__builtin_memset(event->padding, 0, sizeof(event->padding));
	sl_fill_tuple(&event->tuple, sk);
	sl_submit(event);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(sl_inet_sock_set_state, struct sock *sk, int old_state, int new_state)
{
	return sl_state(sk, old_state, new_state);
}

/* Once per TCP socket, after it was closed or aborted. Of interest only for those nobody closed: children that
 * died in the accept queue. */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(sl_tcp_destroy_sock, struct sock *sk)
{
	struct sl_socket_destroyed *event;
	struct sl_socket *socket;

	if (!sk)
		return 0;
	socket = bpf_sk_storage_get(&sl_sockets, sk, 0, 0);
	if (!socket || socket->released)
		return 0;
	event = sl_reserve(sizeof(*event));
	if (!event)
		return 0;
	sl_fill_anonymous_header(&event->header, SL_SOCKET_DESTROYED, sizeof(*event));
	event->cookie = bpf_get_socket_cookie(sk);
	sl_submit(event);
	return 0;
}

/* accept() has no tracepoint of its own. Attached only in this fallback: it taxes every syscall of the machine. */
SEC("tp_btf/sys_exit")
int BPF_PROG(sl_sys_exit, struct pt_regs *regs, long ret)
{
	__u64 call = regs->orig_ax;
	struct sl_socket_accepted *event;
	struct sock *sk, *listener;
	struct sl_target *target;
	__u32 end = 0;
	__u64 stack;
	__u16 family;

	if ((call != 43 && call != 288) || ret < 0) /* accept, accept4 (x86-64) */
		return 0;
	target = sl_current_target();
	if (!target)
		return 0;
	sk = sl_sock_of_fd((__u32)ret);
	if (!sk)
		return 0;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (!sl_is_inet(family))
		return 0;
	stack = sl_user_stack(target->asid, &end);
	event = sl_reserve(sizeof(*event));
	if (!event)
		return 0;
	sl_fill_header(&event->header, SL_SOCKET_ACCEPTED, sizeof(*event));
	event->cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	if (!event->cookie && !sl_adopting) /* while adopting, the iterators will find it */
		sl_count(SL_COUNTER_ACCEPT_WITHOUT_COOKIE);
	event->listener_cookie = 0;
	listener = sl_sock_of_fd((__u32)regs->di);
	if (listener && BPF_CORE_READ(listener, __sk_common.skc_state) == SL_TCP_LISTEN)
		event->listener_cookie = BPF_CORE_READ(listener, __sk_common.skc_cookie.counter);
	event->stack = stack;
	event->stack_end = end;
	event->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	event->fd = (__s32)ret;
	event->padding = 0;
	sl_probe_tuple(&event->tuple, sk);
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	sl_submit(event);
	return 0;
}
