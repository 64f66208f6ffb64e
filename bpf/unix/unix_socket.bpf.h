/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 2: unix sockets: which are tracked, under which number, and what they are bound and connected to. */
#ifndef SOCKLEAK_UNIX_SOCKET_BPF_H
#define SOCKLEAK_UNIX_SOCKET_BPF_H

#include "base/emit.bpf.h"
#include "base/read.bpf.h"
#include "sockets/tracked.bpf.h"
#include "sockets/uses.bpf.h"

static __always_inline int sl_is_unix(const struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_family) == SL_AF_UNIX;
}

static __always_inline __u64 sl_unix_inode(const struct sock *sk)
{
	struct socket *sock = BPF_CORE_READ(sk, sk_socket);

	return sock ? BPF_CORE_READ((struct socket_alloc *)sock, vfs_inode.i_ino) : 0;
}

/* What a unix socket is called. Not its cookie: most have none, and a program that finds a socket through a descriptor
 * cannot give it one. The address and the inode together are not used twice. 0 = it has no file (yet, or any more). */
static __always_inline __u64 sl_unix_number(const struct sock *sk)
{
	__u64 inode = sl_unix_inode(sk);

	return inode ? sl_own_number(inode, sk) : 0;
}

/* Tracks it; its number, or 0. */
static __always_inline __u64 sl_unix_begin(const struct sock *sk)
{
	struct sl_unix_socket fresh = {};
	__u64 number = sl_unix_number(sk);

	if (!number)
		return 0;
	fresh.born_ns = bpf_ktime_get_ns();
	fresh.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	fresh.look = sl_unix_looks - 1;
	if (sl_uses_from)
		fresh.uses.since_ns = fresh.born_ns;
	if (bpf_map_update_elem(&sl_unix, &number, &fresh, BPF_ANY)) {
		sl_count(SL_COUNTER_STORAGE_FULL);
		return 0;
	}
	return number;
}


static __always_inline __u8 sl_unix_path(char *path, const struct unix_sock *sk)
{
	struct unix_address *address = BPF_CORE_READ(sk, addr);
	__u64 length;

	if (!address)
		return 0;
	length = (__u64)BPF_CORE_READ(address, len) - sizeof(__u16); /* without sun_family */
	barrier_var(length); /* the verifier follows no sum of unknown numbers */
	if (length > SL_UNIX_PATH)
		return 0;
	bpf_probe_read_kernel(path, length,
			      (char *)address + bpf_core_field_offset(struct unix_address, name) + sizeof(__u16));
	return (__u8)length;
}

/* False if there is nothing to tell. */
static __always_inline int sl_unix_names(struct sl_socket_named *out, const struct sock *sk, __u64 number)
{
	const struct unix_sock *socket = (const struct unix_sock *)sk;
	struct sock *peer;

	sl_fill_anonymous_header(&out->header, SL_SOCKET_NAMED, sizeof(*out));
	__builtin_memset(&out->cookie, 0, sizeof(*out) - sizeof(out->header));
	if (!bpf_core_type_exists(struct unix_sock))
		return 0;
	out->cookie = number;
	out->length = sl_unix_path(out->path, socket);
	peer = BPF_CORE_READ(socket, peer);
	if (peer) {
		out->peer = sl_unix_number(peer);
		out->peer_length = sl_unix_path(out->peer_path, (const struct unix_sock *)peer);
	}
	return out->length || out->peer || out->peer_length;
}

/* An iterator has found it: what is kept of it if it is tracked, else NULL. `adopt`: from now on it is. */
static __always_inline struct sl_unix_socket *sl_unix_found(const struct sock *sk, int adopt, __u64 *number)
{
	struct sl_unix_socket *socket;

	*number = sl_unix_number(sk);
	socket = bpf_map_lookup_elem(&sl_unix, number);
	if (!socket && adopt && sl_unix_begin(sk))
		socket = bpf_map_lookup_elem(&sl_unix, number);
	return socket;
}

/* Not for the first time in this look. */
static __always_inline int sl_unix_again(const struct sl_unix_socket *socket)
{
	return socket->look == sl_unix_looks;
}

/* Only after all that is to be told of it: what does not fit into the iterator's buffer any more is thrown away, and the
 * socket comes again. */
static __always_inline void sl_unix_mark(struct sl_unix_socket *socket)
{
	socket->look = sl_unix_looks;
}

/* Into an iterator's stream. False: there was no room. */
static __always_inline int sl_unix_write_names(struct seq_file *seq, const struct sock *sk, __u64 number)
{
	__u32 zero = 0;
	struct sl_socket_named *names = bpf_map_lookup_elem(&sl_names, &zero);

	return !names || !sl_unix_names(names, sk, number) || !bpf_seq_write(seq, names, sizeof(*names));
}

#endif
