/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 2: sockets of families that are not followed (netlink, packet, vsock ...): counted by family, where a look finds
 * them and where only the end of their process closes them. */
#ifndef SOCKLEAK_OTHER_FAMILIES_BPF_H
#define SOCKLEAK_OTHER_FAMILIES_BPF_H

#include "base/file_references.bpf.h"
#include "base/read.bpf.h"
#include "processes/filter.bpf.h"
#include "sockets/tracked.bpf.h"

static __always_inline __u32 sl_other_family(const struct sock *sk)
{
	__u32 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	return family == SL_AF_UNIX || sl_is_inet(family) ? 0 : family;
}

/* A look has found a target's descriptor on it; maybe not the only one. */
static __always_inline void sl_note_other(const struct sock *sk, __u32 family, __u32 tgid)
{
	__u64 address = sl_address(sk);

	if (bpf_map_lookup_elem(&sl_targets, &tgid))
		bpf_map_update_elem(&sl_others, &address, &family, BPF_ANY);
}

/* The last descriptor on it goes with its process. */
static __always_inline void sl_note_other_left(const struct file *file, const struct sock *sk)
{
	__u32 family = sl_other_family(sk);
	__u64 *count;

	if (!family || sl_file_references(file) != 1)
		return;
	count = bpf_map_lookup_elem(&sl_others_left, &family);
	if (count)
		__sync_fetch_and_add(count, 1);
}

#endif
