/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 2: whose sockets we watch. */
#ifndef SOCKLEAK_FILTER_BPF_H
#define SOCKLEAK_FILTER_BPF_H

#include "base/emit.bpf.h"
#include "base/read.bpf.h"

static __always_inline int sl_is_inet(__u32 family)
{
	return family == 2 || family == 10;
}

/* Whether sockets of this kind are watched. */
static __always_inline int sl_is_watched(__u32 family, __u32 type, __u32 protocol)
{
	__u32 bit = SL_TYPE_OTHER;

	if (family == SL_AF_UNIX)
		return !sl_config.types || (sl_config.types & SL_TYPE_UNIX);
	if (!sl_is_inet(family))
		return 0;
	if (!sl_config.types)
		return 1;
	if (protocol == 1 || protocol == 58)
		bit = SL_TYPE_ICMP;
	else if (type == 3)
		bit = SL_TYPE_RAW;
	else if (protocol == SL_IPPROTO_TCP)
		bit = SL_TYPE_TCP;
	else if (protocol == 17)
		bit = SL_TYPE_UDP;
	else if (protocol == 132)
		bit = SL_TYPE_SCTP;
	else if (protocol == SL_IPPROTO_MPTCP)
		bit = SL_TYPE_MPTCP;
	return (sl_config.types & bit) != 0;
}

static __always_inline int sl_is_watched_sock(const struct sock *sk)
{
	return sl_is_watched(BPF_CORE_READ(sk, __sk_common.skc_family), BPF_CORE_READ(sk, sk_type),
			     BPF_CORE_READ(sk, sk_protocol));
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

struct cgroup___before_6_1 {
	__u64 ancestor_ids[0];
} __attribute__((preserve_access_index));

/* By its ancestor, not by a set of known processes: whoever is moved in or out counts from then on. Probe reads, because
 * the helpers for it differ between tracing and cgroup programs and came late (95b861a7935b, 5.15). */
static __always_inline int sl_in_cgroup(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	void *cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp);
	struct cgroup___before_6_1 *old = cgroup;
	__u64 id = 0, at = sl_config.cgroup_level * sizeof(__u64);
	struct cgroup *ancestor = cgroup;

	if ((__u32)BPF_CORE_READ(ancestor, level) < sl_config.cgroup_level)
		return 0;
	if (bpf_core_field_exists(ancestor->ancestors)) {
		at += bpf_core_field_offset(ancestor->ancestors);
		bpf_probe_read_kernel(&ancestor, sizeof(ancestor), cgroup + at);
		id = BPF_CORE_READ(ancestor, kn, id);
	} else {
		at += bpf_core_field_offset(old->ancestor_ids);
		bpf_probe_read_kernel(&id, sizeof(id), cgroup + at);
	}
	return id == sl_config.cgroup_id;
}

/* Whether the current task may become a target. */
static __always_inline int sl_in_scope(__u32 tgid)
{
	if (tgid == sl_config.own_tgid || (SL_LOAD(sl_task(), flags) & SL_PF_KTHREAD))
		return 0;
	return sl_config.scope == SL_SCOPE_ALL || sl_in_cgroup();
}

/* Makes process `tgid`, the current one, a target. User space hears of it at once, to see what it holds already. */
__weak __noinline int sl_join(__u32 tgid)
{
	struct sl_process_joined *record = bpf_ringbuf_reserve(&sl_stacks, sizeof(*record), 0);
	struct sl_target fresh = {};

	if (!record) {
		sl_count(SL_COUNTER_TARGETS_FULL);
		return 0;
	}
	sl_fill_header(&record->header, SL_PROCESS_JOINED, sizeof(*record));
	record->asid = fresh.asid = sl_new_asid();
	record->padding = 0;
	fresh.start_ns = record->header.start_ns;
	fresh.joined_ns = record->header.ktime_ns;
	if (bpf_map_update_elem(&sl_targets, &tgid, &fresh, BPF_NOEXIST)) {
		bpf_ringbuf_discard(record, 0);
		if (!bpf_map_lookup_elem(&sl_targets, &tgid)) /* not even another thread has done it */
			sl_count(SL_COUNTER_TARGETS_FULL);
		return 0;
	}
	sl_submit_now(record);
	return 0;
}

/* The current task's process if it has been a target, wherever it is now; else NULL. */
static __always_inline struct sl_target *sl_known_target(void)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	return bpf_map_lookup_elem(&sl_targets, &tgid);
}

/* The current task's process if it is a target, else NULL. */
static __always_inline struct sl_target *sl_current_target(void)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct sl_target *target;

	if (sl_config.scope == SL_SCOPE_PROCESSES)
		return bpf_map_lookup_elem(&sl_targets, &tgid);
	if (!sl_in_scope(tgid))
		return NULL;
	target = bpf_map_lookup_elem(&sl_targets, &tgid);
	if (target)
		return target;
	sl_join(tgid);
	return bpf_map_lookup_elem(&sl_targets, &tgid);
}

#endif
