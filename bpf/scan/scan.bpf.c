// SPDX-License-Identifier: MIT OR GPL-2.0
/* One look at every socket and at everything that keeps one open: descriptors, io_uring slots, messages in flight,
 * mappings, tasks stuck in exit. No state is kept; records as in scan_wire.h. Iterators write at most a few records
 * per object into their stream (it holds 32 kB per object); walks of unknown length go through the ring. */
#include "scan/scan_read.bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Learns what our own socket and ring are operated by. */
SEC("iter/task_file")
int sl_scan_calibrate(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;

	if (!task || !file || (__u32)task->tgid != sl_self)
		return 0;
	sl_jiffies = bpf_jiffies64();
	sl_jiffies_ktime = bpf_ktime_get_ns();
	if ((__s32)ctx->fd == sl_self_socket)
		sl_socket_operations = (__u64)file->f_op;
	if ((__s32)ctx->fd == sl_self_ring)
		sl_ring_operations = (__u64)file->f_op;
	return 0;
}

SEC("iter/tcp")
int sl_scan_tcp(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;
	struct sl_scan_socket record = {};
	struct tcp_timewait_sock *ending;
	struct tcp_sock *tcp;
	struct sock *sk;

	if (!common)
		return 0;
	if (common->skc_state == SL_TCP_TIME_WAIT || common->skc_state == SL_TCP_NEW_SYN_RECV) {
		record.header.size = sizeof(record);
		record.header.type = SL_SCAN_SOCKET;
		record.facts = SL_FACT_MINI;
		record.socket = (__u64)common;
		record.cookie = bpf_get_socket_cookie(common); /* makes sure that there is one */
		record.netns = common->skc_net.net->ns.inum;
		record.state = common->skc_state;
		record.tuple.family = common->skc_family;
		record.tuple.type = 1;
		record.tuple.protocol = SL_IPPROTO_TCP;
		record.tuple.local_port = common->skc_num;
		record.tuple.remote_port = bpf_ntohs(common->skc_dport);
		if (record.tuple.family == SL_AF_INET6) {
			BPF_CORE_READ_INTO((struct in6_addr *)record.tuple.local, common, skc_v6_rcv_saddr);
			BPF_CORE_READ_INTO((struct in6_addr *)record.tuple.remote, common, skc_v6_daddr);
		} else {
			*(__u32 *)record.tuple.local = common->skc_rcv_saddr;
			*(__u32 *)record.tuple.remote = common->skc_daddr;
		}
		ending = bpf_skc_to_tcp_timewait_sock(common);
		if (ending) {
			struct inet_bind_bucket *bucket = ending->tw_sk.tw_tb;

			record.substate = ending->tw_sk.tw_substate;
			record.timer = (__u32)(ending->tw_sk.tw_timer.expires - bpf_jiffies64());
			if (ending->tw_ts_recent_stamp)
				record.marks = SL_MARK_TIMESTAMPS;
			if (bucket) {
				record.facts |= SL_FACT_BUCKET;
				if (bucket->fastreuse >= 0 || bucket->fastreuseport >= 0)
					record.facts |= SL_FACT_BOUND;
			}
		}
		bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
		return 0;
	}
	tcp = bpf_skc_to_tcp_sock(common);
	if (!tcp)
		return 0;
	sk = (struct sock *)tcp;
	bpf_get_socket_cookie(sk); /* makes sure that there is one */
	sl_typed_fill_common(&record, sk);
	sl_typed_fill_file(&record, sk);
	sl_typed_fill_tcp(&record, tcp);
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

/* Memory is given back in batches: some is still charged to an empty queue (udp_rmem_release()). */
static __always_inline __u32 sl_datagrams(struct udp_sock *udp)
{
	__u32 charged = BPF_CORE_READ(udp, inet.sk.sk_backlog.rmem_alloc.counter), kept = 0;

	if (bpf_core_field_exists(((struct udp_sock *)0)->forward_deficit))
		kept = BPF_CORE_READ(udp, forward_deficit);
	return charged > kept ? charged - kept : 0;
}

SEC("iter/udp")
int sl_scan_udp(struct bpf_iter__udp *ctx)
{
	struct sock *sk = (struct sock *)ctx->udp_sk;
	struct sl_scan_socket record = {};

	if (!sk)
		return 0;
	bpf_get_socket_cookie(sk);
	sl_typed_fill_common(&record, sk);
	sl_typed_fill_file(&record, sk);
	record.receive_queue = sl_datagrams((struct udp_sock *)sk);
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

SEC("iter/task_file")
int sl_scan_files(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct sl_scan_holder holder = {};
	struct file *file = ctx->file;
	__u64 word = 0, *close_on_exec;
	struct fdtable *fdt;
	struct socket *sock;
	struct sock *sk;
	__u16 family;
	__u32 netns;

	if (!task || !file || (__u32)task->tgid == sl_self)
		return 0;
	sock = bpf_sock_from_file(file);
	if (!sock) {
		if (sl_ring_operations && (__u64)file->f_op == sl_ring_operations)
			__sync_fetch_and_add(&sl_rings_seen, 1);
		return 0;
	}
	sk = sock->sk;
	if (!sk)
		return 0;
	family = sk->__sk_common.skc_family;
	holder.family = family == SL_AF_INET || family == SL_AF_INET6 ? 0 : family;
	holder.header.size = sizeof(holder);
	holder.header.type = SL_SCAN_HOLDER;
	holder.socket = (__u64)sk;
	holder.cookie = bpf_get_socket_cookie(sk);
	holder.container = (__u64)task->files;
	holder.task = (__u64)task;
	holder.tgid = task->tgid;
	holder.tid = task->pid;
	holder.cgroup = task->cgroups->dfl_cgrp->kn->id;
	holder.start_ns = task->group_leader->start_boottime;
	holder.via = SL_VIA_FD;
	holder.fd = ctx->fd;
	holder.leader_ended = (task->group_leader->exit_state & SL_EXIT_STATES) != 0;
	bpf_probe_read_kernel(holder.comm, sizeof(holder.comm), task->group_leader->comm);
	fdt = task->files->fdt;
	close_on_exec = (__u64 *)fdt->close_on_exec;
	bpf_probe_read_kernel(&word, sizeof(word), close_on_exec + ctx->fd / 64);
	holder.close_on_exec = (word >> (ctx->fd % 64)) & 1;
	/* What no table lists is described here: closed, unbound and raw sockets, and unvisited namespaces. */
	netns = sk->__sk_common.skc_net.net->ns.inum;
	if (!holder.family &&
	    (sk->__sk_common.skc_state == SL_TCP_CLOSE || sk->sk_protocol != SL_IPPROTO_TCP ||
	     !bpf_map_lookup_elem(&sl_walked_netns, &netns))) {
		struct sl_scan_socket record = {};

		sl_probed_fill_common(&record, sk);
		sl_probed_fill_file(&record, sk);
		if (record.tuple.protocol == SL_IPPROTO_TCP)
			sl_probed_fill_tcp(&record, (const struct tcp_sock *)sk);
		bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	}
	bpf_seq_write(ctx->meta->seq, &holder, sizeof(holder));
	return 0;
}

/* A ring's registered files; only read if the pass above met a ring. */
struct sl_slots {
	struct task_struct *task;
	struct io_ring_ctx *ring;
	struct sl_slot_table table;
};

static long sl_scan_slot(__u32 index, void *context)
{
	struct sl_slots *slots = context;

	sl_report_file(sl_file_in_slot(&slots->table, index), slots->task, SL_VIA_IO_URING_SLOT, (__u64)slots->ring, index);
	return 0;
}

SEC("iter/task_file")
int sl_scan_rings(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct sl_slots slots = {};
	struct file *file = ctx->file;
	struct io_ring_ctx *ring;

	if (!task || !file || (__u32)task->tgid == sl_self || (__u64)file->f_op != sl_ring_operations)
		return 0;
	slots.task = task;
	ring = file->private_data;
	slots.ring = ring;
	sl_slots_of_ring(&slots.table, ring);
	if (slots.table.slots)
		bpf_loop(slots.table.count, sl_scan_slot, &slots, 0);
	return 0;
}

/* Descriptors on their way through unix sockets. */
struct sl_queue {
	struct sk_buff *next;
	void *end;
	struct scm_fp_list *files;
	__u64 receiver;
};

static long sl_scan_passed(__u32 index, void *context)
{
	struct sl_queue *queue = context;
	struct file *file = NULL;

	if (index >= 253) /* SCM_MAX_FD */
		return 1;
	bpf_probe_read_kernel(&file, sizeof(file),
			      (char *)queue->files + bpf_core_field_offset(struct scm_fp_list, fp) + index * sizeof(file));
	sl_report_file(file, NULL, SL_VIA_IN_FLIGHT, queue->receiver, index);
	return 0;
}

static long sl_scan_message(__u32 index, void *context)
{
	struct sl_queue *queue = context;
	struct unix_skb_parms *parameters;
	struct sk_buff *message = queue->next;
	struct scm_fp_list *files;

	if (!message || (void *)message == queue->end)
		return 1;
	queue->next = BPF_CORE_READ(message, next);
	parameters = (struct unix_skb_parms *)((char *)message + bpf_core_field_offset(struct sk_buff, cb));
	files = BPF_CORE_READ(parameters, fp);
	queue->files = files;
	if (files)
		bpf_loop(BPF_CORE_READ(files, count), sl_scan_passed, queue, 0);
	return 0;
}

SEC("iter/unix")
int sl_scan_unix(struct bpf_iter__unix *ctx)
{
	struct sock *sk = (struct sock *)ctx->unix_sk;
	struct sl_queue queue = {};
	struct sk_buff *first;

	/* A listener's queue holds connections; those are walked themselves. */
	if (!sk || sk->__sk_common.skc_state == SL_TCP_LISTEN)
		return 0;
	first = sk->sk_receive_queue.next;
	queue.next = first;
	queue.end = (char *)sk + bpf_core_field_offset(struct sock, sk_receive_queue);
	if (!first || (void *)first == queue.end)
		return 0;
	queue.receiver = bpf_get_socket_cookie(sk);
	bpf_loop(65536, sl_scan_message, &queue, 0);
	return 0;
}

/* Tasks, for descriptor limits, for who sleeps on a socket, and for processes whose exit does not end. */
struct sl_work {
	struct callback_head *next;
	struct task_struct *task;
};

static long sl_scan_work(__u32 index, void *context)
{
	struct sl_work *work = context;
	struct callback_head *at = work->next;
	struct file *file;

	if (!at)
		return 1;
	work->next = BPF_CORE_READ((struct callback_head___5 *)at, next);
	/* A file that is being closed waits as pending work (fput, fs/file_table.c). */
	if (!bpf_core_field_exists(((struct file *)0)->f_task_work))
		return 1;
	file = (struct file *)((char *)at - bpf_core_field_offset(struct file, f_task_work));
	sl_report_file(file, work->task, SL_VIA_ENDING_TASK, (__u64)work->task, -1);
	return 0;
}

SEC("iter/task")
int sl_scan_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct sl_scan_task record = {};
	struct sl_work work = {};

	if (!task)
		return 0;
	record.header.size = sizeof(record);
	record.header.type = SL_SCAN_TASK;
	record.task = (__u64)task;
	record.credentials = (__u64)task->cred;
	record.files = (__u64)task->files;
	record.tgid = task->tgid;
	record.tid = task->pid;
	record.exiting = (task->flags & SL_PF_EXITING) != 0;
	record.ended = (task->exit_state & SL_EXIT_STATES) != 0;
	record.executed = task->self_exec_id != task->parent_exec_id;
	record.descriptor_limit = BPF_CORE_READ(task, signal, rlim[SL_RLIMIT_NOFILE].rlim_cur);
	record.next_descriptor = BPF_CORE_READ(task, files, next_fd);
	record.start_ns = task->group_leader->start_boottime;
	record.most_descriptors = BPF_CORE_READ(task, files, fdt, max_fds);
	bpf_probe_read_kernel(record.comm, sizeof(record.comm), task->comm);
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	if (record.exiting && !record.ended) {
		work.next = task->task_works;
		work.task = task;
		bpf_loop(65536, sl_scan_work, &work, 0);
	}
	return 0;
}

/* Only walked when a socket is left that nothing else explains. */
SEC("iter/task_vma")
int sl_scan_mappings(struct bpf_iter__task_vma *ctx)
{
	struct task_struct *task = ctx->task;
	struct vm_area_struct *vma = ctx->vma;
	struct file *file;

	if (!task || !vma)
		return 0;
	file = vma->vm_file;
	if (file)
		sl_report_file(file, task, SL_VIA_MAPPING, (__u64)vma->vm_mm, -1);
	return 0;
}
