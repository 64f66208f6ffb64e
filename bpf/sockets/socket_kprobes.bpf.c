// SPDX-License-Identifier: MIT OR GPL-2.0
/* Where trampolines are refused but kprobes are not: the same places of the kernel. A probe's arguments are bare numbers, so
 * nothing here uses socket storage or asks for a cookie; creating and releasing other than unix sockets is left to the cgroup
 * hooks, which cost no more. */
#include "sockets/hand_over.bpf.h"
#include "sockets/socket_life.bpf.h"
#include "unix/unix_life.bpf.h"

SEC("kprobe/security_socket_post_create")
int BPF_KPROBE(sl_kprobe_post_create, struct socket *sock, int family, int type, int protocol, int kern)
{
	struct sock *sk = BPF_CORE_READ(sock, sk);
	struct sl_target *target;

	if (kern || family != SL_AF_UNIX || !sk)
		return 0;
	target = sl_current_target();
	if (target && sl_is_watched(family, type, 0))
		sl_unix_created(target, sk, type);
	return 0;
}

SEC("kprobe/security_sock_graft")
int BPF_KPROBE(sl_kprobe_sock_graft, struct sock *sk, struct socket *parent)
{
	if (sk)
		sl_grafted(sk, sl_probe_cookie(sk));
	return 0;
}

SEC("kprobe/security_file_receive")
int BPF_KPROBE(sl_kprobe_file_receive, struct file *file)
{
	struct sock *sk = sl_probe_sock_of_file(file);
	__u8 how;

	if (!sk || !sl_is_watched_sock(sk))
		return 0;
	how = sl_way_of_receiving();
	if (how)
		sl_received(sl_is_unix(sk) ? sl_unix_number(sk) : sl_probe_cookie(sk), -1, how);
	return 0;
}

SEC("kprobe/unix_release")
int BPF_KPROBE(sl_kprobe_unix_release, struct socket *sock)
{
	struct sock *sk = BPF_CORE_READ(sock, sk);
	__u64 number;

	if (!sk)
		return 0;
	number = sl_unix_number(sk);
	if (bpf_map_lookup_elem(&sl_unix, &number))
		sl_unix_closed(number, sk, BPF_CORE_READ(sk, __sk_common.skc_state));
	return 0;
}
