/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 2: whose sockets we watch. */
#ifndef SOCKLEAK_FILTER_BPF_H
#define SOCKLEAK_FILTER_BPF_H

#include "maps.bpf.h"

/* The current task's process if it is a target, else NULL. */
static __always_inline struct sl_target *sl_current_target(void)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	return bpf_map_lookup_elem(&sl_targets, &tgid);
}

static __always_inline int sl_is_inet(__u32 family)
{
	return family == 2 || family == 10;
}

/* A fresh address-space id: (count on this CPU, CPU) are unique together without atomics, which 5.10 lacks. The
 * low half of the range is user space's (the processes named on the command line). */
static __always_inline __u32 sl_new_asid(void)
{
	__u32 zero = 0, cpus = sl_config.cpus ? sl_config.cpus : 1;
	__u32 *count = bpf_map_lookup_elem(&sl_asids, &zero);
	__u32 asid;

	if (!count)
		return 0;
	*count += 1;
	asid = *count * cpus + bpf_get_smp_processor_id();
	return (SL_ASID_MAX + 1) / 2 + (asid & (SL_ASID_MAX / 2));
}

#endif
