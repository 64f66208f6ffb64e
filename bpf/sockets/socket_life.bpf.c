// SPDX-License-Identifier: MIT OR GPL-2.0
/* A socket from birth to end through the hooks that every kernel has: created, accepted, TCP state changes, last close,
 * destroyed. socket_trampolines.bpf.c has the preferred hooks for some of it. */
#include "sockets/hand_over.bpf.h"
#include "sockets/socket_life.bpf.h"
#include "unix/unix_calls.bpf.h"

char sl_license[] SEC("license") __weak = "Dual MIT/GPL";

/* End of inet_create()/inet6_create() for user sockets (kern == 0), in the context of the creating task. */
SEC("cgroup/sock_create")
int sl_sock_create(struct bpf_sock *ctx)
{
	struct sl_target *target = sl_current_target();
	struct sl_socket *socket;

	if (!target || !sl_is_watched(ctx->family, ctx->type, ctx->protocol))
		return 1;
	socket = sl_new_socket(ctx);
	if (!socket)
		return 1;
	socket->cookie = sl_context_cookie(ctx);
	sl_begin_uses(&socket->uses);
	sl_created(target, socket->cookie, ctx->family, ctx->type, ctx->protocol, 0);
	return 1;
}

/* inet_release() of user sockets. */
SEC("cgroup/sock_release")
int sl_sock_release(struct bpf_sock *ctx)
{
	struct sl_socket *socket = sl_find_socket(ctx);

	if (!socket || socket->released)
		return 1;
	socket->released = 1;
	sl_closed(sl_context_cookie(ctx), ctx->state, (struct sock *)sl_address(ctx), 0, &socket->uses);
	if (ctx->protocol != SL_IPPROTO_TCP)
		sl_forget_socket(ctx); /* the others have no tcp_destroy_sock */
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
	if (!sk)
		return 0;
	sl_note_mptcp(sk, old_state, new_state);
	sl_note_listening(sk, old_state, new_state);
	if (new_state == SL_TCP_SYN_RECV || new_state == SL_TCP_SYN_SENT)
		return 0;
	socket = sl_find_socket(sk);
	if (!socket)
		return 0;
	cookie = sl_cookie(sk);
	if (!cookie)
		return 0;
	if (sl_is_subflow(sk)) { /* the client speaks MPTCP, too: accept() will return another socket */
		socket->cookie = cookie;
		socket->released = 1;
		return 0;
	}
	if (socket->cookie != cookie) { /* first sight of a child: the value is its listener's */
		socket->listener_cookie = socket->cookie;
		socket->cookie = cookie;
		socket->released = 0;
		sl_begin_uses(&socket->uses);
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
	socket = sl_find_socket(sk);
	if (!socket)
		return 0;
	if (!socket->released) {
		event = sl_reserve(sizeof(*event));
		if (event) {
			sl_fill_anonymous_header(&event->header, SL_SOCKET_DESTROYED, sizeof(*event));
			event->cookie = sl_cookie(sk);
			sl_submit(event);
		}
	}
	sl_forget_socket(sk);
	return 0;
}

/* accept() has no tracepoint of its own, nor has receiving a descriptor. Attached only where nothing better can be: it
 * taxes every syscall of the machine. System calls by their numbers on x86-64. */
static __always_inline void sl_call_returned(const struct pt_regs *regs, __u64 call, long ret)
{
	if ((call == 43 || call == 288) && ret >= 0) /* accept, accept4 */
		sl_accepted((__u32)regs->di, (__u32)ret);
	else if (call == 47 && ret >= 0) /* recvmsg */
		sl_received_message(regs->si);
	else if (call == 438 && ret >= 0) /* pidfd_getfd: rare, so whoever calls it */
		sl_received_fd((__u32)ret, SL_RECEIVED_PIDFD);
	if (sl_config.unix_calls)
		sl_unix_call(regs, call, ret);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(sl_sys_exit, struct pt_regs *regs, long ret)
{
	sl_call_returned(regs, regs->orig_ax, ret);
	return 0;
}

#ifndef SL_SOCKET_HASH
/* The same with preemption off. A kernel that preempts tracing programs (from 7.0 on) leaves out the one above on a
 * processor where another task is in the middle of it; this one costs each call a third more. */
SEC("tp/raw_syscalls/sys_exit")
int sl_trace_sys_exit(struct trace_event_raw_sys_exit *ctx)
{
	const struct pt_regs *regs = sl_user_regs();

	if (regs)
		sl_call_returned(regs, ctx->id, ctx->ret);
	return 0;
}
#endif

/* Gives a passive child its cookie before its SYN_RECV -> ESTABLISHED. Tracing programs before 5.12 cannot ask for one;
 * those of a preemptible kernel may be left out. */
SEC("sockops")
int sl_sock_ops(struct bpf_sock_ops *ctx)
{
	if (ctx->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		bpf_get_socket_cookie(ctx);
	return 1;
}
