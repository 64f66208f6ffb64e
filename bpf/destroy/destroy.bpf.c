// SPDX-License-Identifier: MIT OR GPL-2.0
/* Destroys the sockets of a list in one pass over the tables of a network namespace, for those that sock_diag cannot
 * reach: it finds sockets by address, and of several at one address only the first. The iterator holds the socket's
 * lock, so that what is checked here is true when it is destroyed. Kernels from 6.5 on (4ddbcb886268). */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "abi/destroy_wire.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define SL_TCP_LISTEN 10

extern int bpf_sock_destroy(struct sock_common *sock) __ksym;

/* By cookie. Sized by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct sl_doomed);
} sl_doomed SEC(".maps");

static struct sl_doomed *doomed(struct sock_common *common)
{
	__u64 cookie = common->skc_cookie.counter;
	struct sl_doomed *entry = bpf_map_lookup_elem(&sl_doomed, &cookie);

	return entry && entry->answer == SL_NOT_MET ? entry : 0;
}

SEC("iter/tcp")
int sl_destroy_tcp(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;
	struct sl_doomed *entry;

	if (!common)
		return 0;
	entry = doomed(common);
	if (!entry)
		return 0;
	/* disconnected and made to listen since the plan was made */
	if (common->skc_state == SL_TCP_LISTEN)
		entry->answer = SL_CHANGED;
	else
		entry->answer = -bpf_sock_destroy(common);
	return 0;
}

SEC("iter/udp")
int sl_destroy_udp(struct bpf_iter__udp *ctx)
{
	struct sock_common *common = (struct sock_common *)ctx->udp_sk;
	struct sl_doomed *entry;

	if (!common)
		return 0;
	entry = doomed(common);
	if (entry)
		entry->answer = -bpf_sock_destroy(common);
	return 0;
}
