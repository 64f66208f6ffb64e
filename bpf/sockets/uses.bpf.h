/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 2: how often a socket is used: reads and writes of data, counted where what is known of the socket is kept. While
 * nobody counts, since_ns there is 0; else it is the socket's birth, or 0 if it is older. */
#ifndef SOCKLEAK_USES_BPF_H
#define SOCKLEAK_USES_BPF_H

#include "base/maps.bpf.h"

/* The socket is new, or what it has was copied from its listener. */
static __always_inline void sl_begin_uses(struct sl_uses *uses)
{
	__builtin_memset(uses, 0, sizeof(*uses));
	if (sl_uses_from)
		uses->since_ns = bpf_ktime_get_ns();
}

/* Two threads may count at the same moment: then one call is lost, which was part of the other's burst. */
static __always_inline void sl_count_use(struct sl_uses *uses)
{
	__u64 now = bpf_ktime_get_ns(), last = uses->last_ns;

	uses->last_ns = now;
	if (last && now < last + SL_BURST_GAP_NS)
		return;
	uses->bursts++;
	if (!last)
		uses->first_ns = now;
	else if (now - last > uses->longest_gap_ns)
		uses->longest_gap_ns = now - last;
}

static __always_inline void sl_tell_uses(struct sl_uses *out, const struct sl_uses *uses, __u32 family)
{
	if (!sl_uses_from || (sl_uses_of_ipv4 && family != 2))
		return;
	__builtin_memcpy(out, uses, sizeof(*out));
	if (out->since_ns < sl_uses_from)
		out->since_ns = sl_uses_from;
}

#endif
