// SPDX-License-Identifier: MIT OR GPL-2.0
/* The preferred hooks: they cost programs that are not watched next to nothing, and need no cgroup. Trampolines do not
 * exist on every kernel and are refused by some; socket_life.bpf.c has what stands in for them. */
#include "hand_over.bpf.h"
#include "socket_life.bpf.h"

#ifndef SL_SOCKET_HASH
/* The end of __sock_create(), in the context of the creating task. Not fexit/__sys_socket: io_uring does not come by
 * there, and it knows only a descriptor, from which no socket is found that storage accepts. */
SEC("fentry/security_socket_post_create")
int BPF_PROG(sl_socket_post_create, struct socket *sock, int family, int type, int protocol, int kern)
{
	struct sl_target *target;
	struct sl_socket *socket;
	struct sock *sk;

	if (kern || !sl_is_inet(family))
		return 0;
	target = sl_current_target();
	if (!target)
		return 0;
	sk = sock->sk;
	if (!sk || !sl_is_watched(family, type, sk->sk_protocol))
		return 0;
	socket = sl_new_socket(sk);
	if (!socket)
		return 0;
	socket->cookie = sl_cookie(sk);
	sl_created(target, socket, family, type, sk->sk_protocol);
	return 0;
}
#endif

#ifndef SL_SOCKET_HASH
/* Before a descriptor of another process is installed in this one: SCM_RIGHTS, pidfd_getfd(), seccomp's addfd. */
SEC("fentry/security_file_receive")
int BPF_PROG(sl_file_receive, struct file *file)
{
	struct socket *sock = bpf_sock_from_file(file);
	struct pt_regs *regs;
	struct sock *sk;

	if (!sock)
		return 0;
	sk = sock->sk;
	if (!sk || !sl_find_socket(sk))
		return 0;
	regs = sl_user_regs();
	sl_received(sl_cookie(sk), -1,
		    regs && SL_LOAD(regs, orig_ax) == 438 ? SL_RECEIVED_PIDFD : SL_RECEIVED_MESSAGE);
	return 0;
}
#endif

SEC("fexit/__sys_accept4")
int BPF_PROG(sl_sys_accept4, int fd, struct sockaddr *address, int *length, int flags, int ret)
{
	if (ret >= 0)
		sl_accepted(fd, ret);
	return 0;
}

SEC("fentry/inet_release")
int BPF_PROG(sl_inet_release, struct socket *sock)
{
	struct sock *sk = sock->sk;
	struct sl_socket *socket;

	if (!sk)
		return 0;
	socket = sl_find_socket(sk);
	if (!socket || socket->released)
		return 0;
	sl_closed(socket, sl_cookie(sk), sk->__sk_common.skc_state);
	if (sk->sk_protocol != SL_IPPROTO_TCP)
		sl_forget_socket(sk); /* the others have no tcp_destroy_sock */
	return 0;
}
