// SPDX-License-Identifier: MIT OR GPL-2.0
/* The targets' processes: who is one, which program image they run, when they end. */
#include "base/emit.bpf.h"
#include "base/read.bpf.h"
#include "processes/filter.bpf.h"
#include "unix/unix_calls.bpf.h"

/* In the parent, before the child runs for the first time: no socket of the child can be missed. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(sl_sched_process_fork, struct task_struct *parent, struct task_struct *child)
{
	struct sl_process_forked *event;
	struct sl_target *target, fresh = {};
	__u32 tgid = child->tgid;

	if (!sl_config.follow_children || parent->tgid == child->tgid)
		return 0;
	target = sl_current_target();
	if (!target)
		return 0;
	fresh.asid = target->asid; /* same layout, same rules */
	fresh.swept = target->swept;
	fresh.parent_files = (__u64)parent->files;
	fresh.forked_ns = bpf_ktime_get_ns();
	if (child->files == parent->files)
		fresh.shares_files = target->shares_files = 1;
	fresh.start_ns = child->start_boottime;
	fresh.joined_ns = target->joined_ns; /* it holds what its parent holds */
	if (bpf_map_update_elem(&sl_targets, &tgid, &fresh, BPF_ANY)) {
		sl_count(SL_COUNTER_TARGETS_FULL);
		return 0;
	}
	event = sl_reserve(sizeof(*event));
	if (!event)
		return 0;
	sl_fill_header(&event->header, SL_PROCESS_FORKED, sizeof(*event));
	if (child->files == parent->files)
		event->header.flags = SL_FORK_SHARES_FILES;
	event->child_tgid = tgid;
	event->child_start_ns = fresh.start_ns;
	event->asid = fresh.asid;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	sl_submit(event);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(sl_sched_process_exec, struct task_struct *task, int old_pid, struct linux_binprm *binary)
{
	struct sl_target *target = sl_current_target();
	struct sl_process_execed *event;
	struct sl_go_file file = {};
	struct inode *inode;
	struct sl_go *go;
	__u32 asid;

	if (!target)
		return 0;
	target->asid = asid = sl_new_asid();
	target->parent_files = 0;
	target->shares_files = 0;
	inode = SL_LOAD(binary, file, f_inode);
	file.inode = SL_LOAD(inode, i_ino);
	file.device = SL_LOAD(inode, i_sb, s_dev);
	go = bpf_map_lookup_elem(&sl_go_files, &file);
	if (go)
		bpf_map_update_elem(&sl_gos, &asid, go, BPF_ANY);
	event = sl_reserve(sizeof(*event));
	if (!event)
		return 0;
	sl_fill_header(&event->header, SL_PROCESS_EXECED, sizeof(*event));
	event->asid = target->asid;
	event->padding = 0;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	sl_submit_now(event);
	return 0;
}

/* Before the process's files are closed: never the moment for a verdict. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(sl_sched_process_exit, struct task_struct *task)
{
	struct sl_target *target = sl_known_target();
	struct sl_process_exited *event;

	if (!target)
		return 0;
	if (!target->start_ns) /* user space does not know it exactly; without it the number is never given back */
		target->start_ns = task->group_leader->start_boottime;
	if (task->signal->live.counter != 0)
		return 0;
	sl_leave(target);
	event = sl_reserve(sizeof(*event));
	if (!event)
		return 0;
	sl_fill_header(&event->header, SL_PROCESS_EXITED, sizeof(*event));
	event->exit_code = task->signal->group_exit_code ? task->signal->group_exit_code : task->exit_code;
	event->padding = 0;
	sl_submit_now(event);
	return 0;
}

/* The leader is gone for good. Its pid may already belong to another process: compare the start. */
SEC("tp_btf/sched_process_free")
int BPF_PROG(sl_sched_process_free, struct task_struct *task)
{
	__u32 tgid = task->tgid;
	struct sl_process_freed *event;
	struct sl_target *target;

	if (task->pid != task->tgid)
		return 0;
	target = bpf_map_lookup_elem(&sl_targets, &tgid);
	if (!target || target->start_ns != task->start_boottime)
		return 0;
	bpf_map_delete_elem(&sl_targets, &tgid);
	event = sl_reserve(sizeof(*event));
	if (!event)
		return 0;
	sl_fill_anonymous_header(&event->header, SL_PROCESS_FREED, sizeof(*event));
	event->header.tgid = tgid;
	event->header.tid = tgid;
	event->header.start_ns = task->start_boottime;
	sl_submit(event);
	return 0;
}
