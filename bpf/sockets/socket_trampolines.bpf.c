// SPDX-License-Identifier: MIT OR GPL-2.0
/* The preferred hooks: they cost programs that are not watched next to nothing, and need no cgroup. Trampolines do not
 * exist on every kernel and are refused by some, and a preemptible kernel leaves a program out while another run of it is
 * preempted on that processor; socket_life.bpf.c has what stands in for them and, where it can, beside them. */
#include "sockets/hand_over.bpf.h"
#include "sockets/socket_life.bpf.h"
#include "unix/unix_life.bpf.h"

/* The end of __sock_create(), in the context of the creating task. Not fexit/__sys_socket: io_uring does not come by
 * there, and it knows only a descriptor, from which no socket is found that storage accepts. The basic build has
 * cgroup/sock_create for all but unix sockets, because that makes sure of the cookie. */
SEC("fentry/security_socket_post_create")
int BPF_PROG(sl_socket_post_create, struct socket *sock, int family, int type, int protocol, int kern)
{
	struct sl_target *target;
	struct sock *sk;

	if (kern || (!sl_is_inet(family) && family != SL_AF_UNIX))
		return 0;
	target = sl_current_target();
	if (!target)
		return 0;
	sk = sock->sk;
	if (!sk || !sl_is_watched(family, type, sk->sk_protocol))
		return 0;
	if (family == SL_AF_UNIX) {
		sl_unix_created(target, sk, type);
	} else {
#ifndef SL_SOCKET_HASH
		struct sl_socket *socket = sl_new_socket(sk);

		if (!socket || socket->cookie) /* sl_sock_create was here */
			return 0;
		socket->cookie = sl_cookie(sk);
		sl_begin_uses(&socket->uses);
		sl_created(target, socket->cookie, family, type, sk->sk_protocol, 0);
#endif
	}
	return 0;
}

#ifndef SL_SOCKET_HASH
/* Before a descriptor of another process is installed in this one: SCM_RIGHTS, pidfd_getfd(), seccomp's addfd. */
SEC("fentry/security_file_receive")
int BPF_PROG(sl_file_receive, struct file *file)
{
	struct socket *sock = bpf_sock_from_file(file);
	struct sock *sk;
	__u64 number;
	__u8 how;

	if (!sock)
		return 0;
	sk = sock->sk;
	if (!sk)
		return 0;
	number = sl_is_unix(sk) ? sl_unix_number(sk) : sl_find_socket(sk) ? sl_cookie(sk) : 0;
	how = sl_way_of_receiving();
	if (how)
		sl_received(number, -1, how);
	return 0;
}
#endif

/* Both ends of an accepted connection have met, in the task that accepts. Not fexit/__sys_accept4: it is not run for a call
 * that waited already when it was attached. What io_uring accepts is sl_io_uring_complete's where that can tell:
 * it knows the listener. */
SEC("fentry/security_sock_graft")
int BPF_PROG(sl_sock_graft, struct sock *sk, struct socket *parent)
{
	if (sk)
		sl_grafted(sk, sl_is_unix(sk) ? 0 : sl_cookie(sk));
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
	socket->released = 1;
	sl_closed(sl_cookie(sk), sk->__sk_common.skc_state, sk, 1, &socket->uses);
	if (sk->sk_protocol != SL_IPPROTO_TCP)
		sl_forget_socket(sk); /* the others have no tcp_destroy_sock */
	return 0;
}

/* AF_UNIX's of all three kinds, whoever drops the last reference. */
SEC("fentry/unix_release")
int BPF_PROG(sl_unix_release, struct socket *sock)
{
	struct sock *sk = sock->sk;
	__u64 number;

	if (!sk)
		return 0;
	number = sl_unix_number(sk);
	if (bpf_map_lookup_elem(&sl_unix, &number))
		sl_unix_closed(number, sk, sk->__sk_common.skc_state);
	return 0;
}
