// SPDX-License-Identifier: MIT OR GPL-2.0
/* Reads and writes of sockets, in the context of whoever does them. Attached only once some site is suspected, or keeps
 * sockets open for a while. */
#include "sockets/touch.bpf.h"

/* Both from Linux 6.6 on (6e6eda44b939): after every receive and send through a socket's file, whatever the system call. */
SEC("tp_btf/sock_recv_length")
int BPF_PROG(sl_sock_recv_length, struct sock *sk, int result, int flags)
{
	sl_touched(sk, result, SL_TOUCH_RECEIVE);
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(sl_sock_send_length, struct sock *sk, int result, int flags)
{
	sl_touched(sk, result, SL_TOUCH_SEND);
	return 0;
}

/* Before that: IPv4 only, because a need has one hook. */
SEC("fexit/inet_recvmsg")
int BPF_PROG(sl_inet_recvmsg, struct socket *sock, struct msghdr *message, size_t size, int flags, int result)
{
	sl_touched(sock->sk, result, SL_TOUCH_RECEIVE);
	return 0;
}

SEC("fexit/inet_sendmsg")
int BPF_PROG(sl_inet_sendmsg, struct socket *sock, struct msghdr *message, size_t size, int result)
{
	sl_touched(sock->sk, result, SL_TOUCH_SEND);
	return 0;
}
