/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 2: what we know of a socket. Socket storage where tracing programs may use it (Linux 8e4597c627fb, 5.11) and may
 * ask for cookies (c5dbb89fc2ac, 5.12). SL_SOCKET_HASH is the variant for kernels before that: a hash by the socket's
 * address, whose entries go with the socket, and cookies that a sockops program and user space have made sure of.
 */
#ifndef SOCKLEAK_TRACKED_BPF_H
#define SOCKLEAK_TRACKED_BPF_H

#include "base/read.bpf.h"

/* A context pointer becomes a number by being read back from the stack: the verifier lets nobody do sums with it. */
static __always_inline __u64 sl_address(const void *sk)
{
	const void *volatile slot = sk;
	__u64 address = 0;

	bpf_probe_read_kernel(&address, sizeof(address), (const void *)&slot);
	return address;
}

/* What a socket is called: its cookie. An accepted MPTCP socket has its listener's cookie (net/mptcp/protocol.c copies it),
 * so these have numbers of our own, of 53 bits: JSON readers know no larger ones, and cookies stay below 2^52. */
static __always_inline __u64 sl_own_number(__u64 seed, const void *sk)
{
	__u64 mixed = (seed ^ sl_config.secret) * 0x9E3779B97F4A7C15ull;

	mixed = ((mixed ^ (mixed >> 29)) + sl_address(sk)) * 0x9E3779B97F4A7C15ull;
	return (1ull << 52) | (mixed >> 12);
}

static __always_inline __u64 sl_identity(__u64 cookie, __u32 protocol, const void *sk)
{
	return protocol != SL_IPPROTO_MPTCP || !cookie ? cookie : sl_own_number(cookie, sk);
}

/* Of a socket that was found by probe reads; 0 = nobody has asked for its cookie yet. */
static __always_inline __u64 sl_probe_cookie(const struct sock *sk)
{
	return sl_identity(BPF_CORE_READ(sk, __sk_common.skc_cookie.counter), BPF_CORE_READ(sk, sk_protocol), sk);
}

/* Of a cgroup program's context. */
static __always_inline __u64 sl_context_cookie(struct bpf_sock *ctx)
{
	return sl_identity(bpf_get_socket_cookie(ctx), ctx->protocol, ctx);
}

#ifdef SL_SOCKET_HASH

static __always_inline struct sl_socket *sl_find_socket(const void *sk)
{
	__u64 address = sl_address(sk);

	return bpf_map_lookup_elem(&sl_sockets, &address);
}

/* Afresh: an older entry belongs to another socket that had this address. */
static __always_inline struct sl_socket *sl_new_socket(const void *sk)
{
	__u64 address = sl_address(sk);
	struct sl_socket fresh = {};

	if (bpf_map_update_elem(&sl_sockets, &address, &fresh, BPF_ANY)) {
		sl_count(SL_COUNTER_STORAGE_FULL);
		return NULL;
	}
	return bpf_map_lookup_elem(&sl_sockets, &address);
}

static __always_inline void sl_forget_socket(const void *sk)
{
	__u64 address = sl_address(sk);

	bpf_map_delete_elem(&sl_sockets, &address);
}

static __always_inline __u64 sl_cookie(struct sock *sk)
{
	return sl_identity(BPF_CORE_READ(sk, __sk_common.skc_cookie.counter), BPF_CORE_READ(sk, sk_protocol), sk);
}

static __always_inline void sl_note_listener(struct sock *sk)
{
	__u64 cookie = sl_cookie(sk);
	__u8 one = 1;

	if (bpf_map_update_elem(&sl_listening, &cookie, &one, BPF_ANY))
		sl_count(SL_COUNTER_STORAGE_FULL);
}

/* What BPF_F_CLONE does for socket storage. Up to 6.12 the child has its listener's cookie at LISTEN -> SYN_RECV. */
static __always_inline void sl_note_listening(struct sock *sk, int old_state, int new_state)
{
	__u64 cookie = sl_cookie(sk);
	struct sl_socket *child;

	if (new_state == SL_TCP_LISTEN) {
		if (sl_find_socket(sk))
			sl_note_listener(sk);
	} else if (old_state == SL_TCP_LISTEN && new_state == SL_TCP_SYN_RECV) {
		if (!bpf_map_lookup_elem(&sl_listening, &cookie))
			return;
		child = sl_new_socket(sk);
		if (child)
			child->cookie = cookie;
	} else if (old_state == SL_TCP_LISTEN) {
		bpf_map_delete_elem(&sl_listening, &cookie);
	}
}

#else

static __always_inline struct sl_socket *sl_find_socket(void *sk)
{
	return bpf_sk_storage_get(&sl_sockets, sk, 0, 0);
}

static __always_inline struct sl_socket *sl_new_socket(void *sk)
{
	struct sl_socket *socket = bpf_sk_storage_get(&sl_sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!socket)
		sl_count(SL_COUNTER_STORAGE_FULL);
	return socket;
}

static __always_inline void sl_forget_socket(void *sk)
{
}

static __always_inline __u64 sl_cookie(struct sock *sk)
{
	return sl_identity(bpf_get_socket_cookie(sk), sk->sk_protocol, sk);
}

/* Here the map only answers for processes that have just joined a scope. */
static __always_inline void sl_note_listener(struct sock *sk)
{
	__u64 cookie = sl_cookie(sk);
	__u8 one = 1;

	bpf_map_update_elem(&sl_listening, &cookie, &one, BPF_ANY);
}

/* With Fast Open a child can be accepted before it is established, when only its cookie can tell which one it is. Since
 * 6.18 it can be given one here; before that it has its listener's at this moment. */
static __always_inline void sl_note_listening(struct sock *sk, int old_state, int new_state)
{
	__u64 cookie;

	if (sl_config.scope != SL_SCOPE_PROCESSES && new_state == SL_TCP_LISTEN && sl_find_socket(sk))
		sl_note_listener(sk);
	if (sl_config.scope != SL_SCOPE_PROCESSES && old_state == SL_TCP_LISTEN && new_state == SL_TCP_CLOSE) {
		cookie = sl_cookie(sk);
		bpf_map_delete_elem(&sl_listening, &cookie);
	}
	if (new_state == SL_TCP_SYN_RECV && sk->sk_protocol == SL_IPPROTO_TCP &&
	    !BPF_CORE_READ(sk, __sk_common.skc_cookie.counter) && sl_find_socket(sk))
		bpf_get_socket_cookie(sk);
}

#endif

struct mptcp_subflow_context___any {
	struct sock *conn;
} __attribute__((preserve_access_index));

/* A TCP socket that belongs to an MPTCP one: the program has no descriptor for it. */
static __always_inline int sl_is_subflow(const struct sock *sk)
{
	const struct tcp_sock *tcp = (const struct tcp_sock *)sk;

	return bpf_core_field_exists(tcp->is_mptcp) && BPF_CORE_READ(sk, sk_protocol) == SL_IPPROTO_TCP &&
	       BPF_CORE_READ(tcp, is_mptcp);
}

/* The identity of the tracked MPTCP listener behind a listening subflow, or behind a copy of one; 0 = none. */
static __always_inline __u64 sl_listener_of_subflow(const struct sock *sk)
{
	struct mptcp_subflow_context___any *subflow = BPF_CORE_READ((const struct inet_connection_sock *)sk, icsk_ulp_data);
	__u64 address = bpf_core_type_exists(*subflow) ? (__u64)BPF_CORE_READ(subflow, conn) : 0;
	__u64 *identity = bpf_map_lookup_elem(&sl_mptcp_listeners, &address);

	return identity && *identity == sl_probe_cookie((const struct sock *)address) ? *identity : 0;
}

static __always_inline void sl_note_mptcp_listener(struct sock *sk)
{
	__u64 address = sl_address(sk), identity = sl_cookie(sk);

	if (bpf_map_update_elem(&sl_mptcp_listeners, &address, &identity, BPF_ANY))
		sl_count(SL_COUNTER_STORAGE_FULL);
}

/* Who speaks plain TCP to an MPTCP listener gets a child of its subflow, and that is what accept() returns: it is tracked as if
 * it were a copy of the MPTCP listener itself. At LISTEN -> SYN_RECV it still has the subflow's ties (inet_csk_clone_lock). */
static __always_inline void sl_note_mptcp(struct sock *sk, int old_state, int new_state)
{
	struct sl_socket *child;
	__u64 identity, address;

	if (BPF_CORE_READ(sk, sk_protocol) == SL_IPPROTO_MPTCP) {
		address = sl_address(sk);
		if (new_state == SL_TCP_LISTEN && sl_find_socket(sk))
			sl_note_mptcp_listener(sk);
		else if (old_state == SL_TCP_LISTEN)
			bpf_map_delete_elem(&sl_mptcp_listeners, &address);
	} else if (old_state == SL_TCP_LISTEN && new_state == SL_TCP_SYN_RECV && sl_is_subflow(sk)) {
		identity = sl_listener_of_subflow(sk);
		child = identity ? sl_new_socket(sk) : NULL;
		if (child)
			child->cookie = identity;
	}
}

#endif
