/* SPDX-License-Identifier: MIT OR GPL-2.0
 * What the walks of scan.bpf.c share: its maps and globals, layouts of other kernels, and how a file that is no
 * descriptor is reported. */
#ifndef SOCKLEAK_SCAN_READ_BPF_H
#define SOCKLEAK_SCAN_READ_BPF_H

#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "abi/config.h"
#include "abi/scan_wire.h"

#define SL_AF_UNIX 1
#define SL_AF_INET 2
#define SL_AF_INET6 10
#define SL_IPPROTO_TCP 6
#define SL_IPPROTO_MPTCP 262
#define SL_PF_EXITING 0x00000004
#define SL_TCP_TIME_WAIT 6
#define SL_TCP_CLOSE 7
#define SL_TCP_LISTEN 10
#define SL_TCP_NEW_SYN_RECV 12
#define SL_EXIT_STATES 0x30 /* EXIT_DEAD | EXIT_ZOMBIE */
#define SL_RLIMIT_NOFILE 7

/* Ourselves and two of our descriptors, from which the kernel's file operations are learnt: their symbols are not in
 * every kernel's symbol table. */
const volatile __u32 sl_self = 0;
const volatile __s32 sl_self_socket = -1;
const volatile __s32 sl_self_ring = -1;
const volatile __u64 sl_wakers[SL_WAKERS] = {}; /* as in sl_config */
__u64 sl_socket_operations = 0;
__u64 sl_ring_operations = 0;

/* When that was: tells how long a jiffy is. */
__u64 sl_jiffies = 0;
__u64 sl_jiffies_ktime = 0;

__u64 sl_rings_seen = 0;
__u64 sl_ring_lost = 0; /* records that found the ring full */

/* Namespaces whose tables are walked: their sockets need no second description. 4096: more namespaces than that are
 * described twice, which is only slower. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u8);
} sl_walked_netns SEC(".maps");

/* 8 MB: 37 000 sockets in flight or in ring slots between two reads of an iterator. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} sl_scan_ring SEC(".maps");

/* Layouts of other kernels. */
struct tcp_sock___mptcp {
	bool is_mptcp; /* CONFIG_MPTCP */
} __attribute__((preserve_access_index));
struct callback_head___5 {
	struct callback_head *next;
} __attribute__((preserve_access_index));
struct io_kiocb___task {
	struct task_struct *task; /* until f03baece0868 (6.13) */
} __attribute__((preserve_access_index));
#include "base/file_references.bpf.h"
#include "io_uring/ring_slots.bpf.h"

#define SL_WAKER(i) sl_wakers[i]
#include "sockets/wait_queue.bpf.h"

static __always_inline __u8 sl_protocol(__u32 protocol)
{
	return protocol == SL_IPPROTO_MPTCP ? 254 : (__u8)protocol;
}

static __always_inline __u64 sl_request_task(struct io_kiocb *request)
{
	if (bpf_core_field_exists(((struct io_kiocb___task *)0)->task))
		return (__u64)BPF_CORE_READ((struct io_kiocb___task *)request, task);
	return (__u64)BPF_CORE_READ(request, tctx, task);
}

/* A pointer that the verifier knows, as the number that it does not mind being handed on. */
static __always_inline __u64 sl_number(const void *pointer)
{
	const void *slot = pointer;
	__u64 number = 0;

	bpf_probe_read_kernel(&number, sizeof(number), &slot);
	return number;
}

/* Of those that wait in a queue for a socket with this file, epoll not counted, the index-th: a task, or with bit 0 set
 * a task whose io_uring request waits. 0 = no more. Global, because the verifier looks at such a function only once. */
__noinline __u64 sl_waiter_at(__u64 head, __u64 file, __u32 index)
{
	struct list_head *at = BPF_CORE_READ((struct list_head *)head, next);
	__u32 i, met = 0;

	for (i = 0; i < 8; i++) {
		struct wait_queue_entry *entry;
		void *waiter, *request_file = NULL;

		if (!at || (__u64)at == head)
			return 0;
		entry = (struct wait_queue_entry *)((char *)at - bpf_core_field_offset(struct wait_queue_entry, entry));
		waiter = BPF_CORE_READ(entry, private);
		at = BPF_CORE_READ(entry, entry.next);
		if (!waiter)
			continue; /* epoll */
		if (met++ != index)
			continue;
		/* An io_uring request begins with its file (struct io_kiocb); bit 0 of the pointer is a flag. */
		waiter = (void *)((__u64)waiter & ~1ULL);
		bpf_probe_read_kernel(&request_file, sizeof(request_file), waiter);
		if ((__u64)request_file == file)
			return sl_request_task((struct io_kiocb *)waiter) | 1;
		return (__u64)waiter;
	}
	return 0;
}

#define SL_READ ___arrow
#define SL_READ_BIT(source, field) BPF_CORE_READ_BITFIELD(source, field)
#define SL_NAME(name) sl_typed_##name
#include "scan/scan_fill.bpf.h"
#undef SL_READ
#undef SL_READ_BIT
#undef SL_NAME
#define SL_READ BPF_CORE_READ
#define SL_READ_BIT(source, field) BPF_CORE_READ_BITFIELD_PROBED(source, field)
#define SL_NAME(name) sl_probed_##name
#include "scan/scan_fill.bpf.h"

static __always_inline void sl_fill_holder(struct sl_scan_holder *out, struct task_struct *task, __u8 via)
{
	out->header.size = sizeof(*out);
	out->header.type = SL_SCAN_HOLDER;
	out->header.reserved = 0;
	out->via = via;
	if (!task)
		return;
	out->task = (__u64)task;
	out->tgid = BPF_CORE_READ(task, tgid);
	out->tid = BPF_CORE_READ(task, pid);
	out->cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	out->start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	out->leader_ended = (BPF_CORE_READ(task, group_leader, exit_state) & SL_EXIT_STATES) != 0;
	bpf_probe_read_kernel_str(out->comm, sizeof(out->comm), BPF_CORE_READ(task, group_leader)->comm);
}

/* Says through the ring that `file`, if it is a socket, is kept open by `via`. */
static __always_inline void sl_report_file(struct file *file, struct task_struct *task, __u8 via, __u64 container,
					   __s32 place)
{
	struct sl_scan_socket *record;
	struct sl_scan_holder *holder;
	struct socket *sock;
	struct sock *sk;
	__u16 family;

	if (!file || !sl_socket_operations || (__u64)BPF_CORE_READ(file, f_op) != sl_socket_operations)
		return;
	sock = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(sock, sk);
	if (!sk)
		return;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (family != SL_AF_INET && family != SL_AF_INET6)
		return;
	record = bpf_ringbuf_reserve(&sl_scan_ring, sizeof(*record), 0);
	if (!record) {
		__sync_fetch_and_add(&sl_ring_lost, 1);
		return;
	}
	__builtin_memset(record, 0, sizeof(*record));
	sl_probed_fill_common(record, sk);
	sl_probed_fill_file(record, sk);
	if (record->tuple.protocol == SL_IPPROTO_TCP)
		sl_probed_fill_tcp(record, (const struct tcp_sock *)sk);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	holder = bpf_ringbuf_reserve(&sl_scan_ring, sizeof(*holder), 0);
	if (!holder) {
		__sync_fetch_and_add(&sl_ring_lost, 1);
		return;
	}
	__builtin_memset(holder, 0, sizeof(*holder));
	sl_fill_holder(holder, task, via);
	holder->socket = (__u64)sk;
	holder->cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	holder->container = container;
	holder->fd = place;
	bpf_ringbuf_submit(holder, BPF_RB_NO_WAKEUP);
}

#endif
