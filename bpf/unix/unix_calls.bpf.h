/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 3: unix sockets where no trampolines tell of them: they are found through the descriptors that system calls
 * return. close() is seen when it is over, so what the descriptor was is noted before, and the kernel is asked whether the
 * socket is gone. Closes of other kinds are left to looks at the kernel's tables: never guessed. */
#ifndef SOCKLEAK_UNIX_CALLS_BPF_H
#define SOCKLEAK_UNIX_CALLS_BPF_H

#include "sockets/other_families.bpf.h"
#include "unix/unix_life.bpf.h"

static __always_inline void sl_unix_note(__u64 files, __u32 fd, struct file *file, struct sock *sk, __u64 number,
					 const struct sl_target *target)
{
	struct sl_unix_fd_key key = { .files = files, .fd = fd };
	struct sl_unix_fd note = { .number = number, .sk = (__u64)sk, .file = (__u64)file };

	note.noted_ns = bpf_ktime_get_ns();
	note.asid = target->asid;
	note.swept = target->swept;
	bpf_map_update_elem(&sl_unix_fds, &key, &note, BPF_ANY);
}

/* What the current task's descriptor was noted to be, or NULL. A child's were its parent's when it was forked. */
static __always_inline struct sl_unix_fd *sl_unix_noted(const struct sl_target *target, __u64 files, __u32 fd,
							__u32 *inherited)
{
	struct sl_unix_fd_key key = { .files = files, .fd = fd };
	struct sl_unix_fd *note = bpf_map_lookup_elem(&sl_unix_fds, &key);

	*inherited = !note;
	if (note) {
		if (note->closed_ns)
			return NULL;
	} else if (target->parent_files) {
		key.files = target->parent_files;
		note = bpf_map_lookup_elem(&sl_unix_fds, &key);
		if (note && (note->noted_ns > target->forked_ns || (note->closed_ns && note->closed_ns < target->forked_ns)))
			return NULL;
	}
	return note && note->asid == target->asid && note->swept == target->swept ? note : NULL;
}

/* A look at the kernel's tables has found it. */
static __always_inline void sl_unix_note_held(struct task_struct *task, __u32 fd, struct file *file, struct sock *sk,
					      __u64 number)
{
	__u32 tgid = task->tgid;
	struct sl_target *target = bpf_map_lookup_elem(&sl_targets, &tgid);

	if (target)
		sl_unix_note((__u64)BPF_CORE_READ(task, files), fd, file, sk, number, target);
}

static __always_inline __u64 sl_current_files(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	return (__u64)BPF_CORE_READ(task, files);
}

/* A call of the current process has made the socket of descriptor `fd`. A function of its own, as the next ones are: the
 * verifier goes through the walk of a stack but once in each, and all that call one another have 512 bytes of stack. */
__weak __noinline int sl_unix_made(__u32 fd)
{
	struct sl_target *target = sl_current_target();
	struct file *file = sl_file_of_fd(fd);
	struct sock *sk = file ? sl_probe_sock_of_file(file) : NULL;

	if (target && sk && (sl_config.unix_calls & SL_UNIX_MADE) && sl_is_unix(sk) && sl_is_watched_sock(sk))
		sl_unix_created(target, sk, BPF_CORE_READ(sk, sk_type));
	return 0;
}

/* A call of the current process has returned descriptor `fd`. */
__weak __noinline int sl_unix_appeared(__u32 fd)
{
	struct sl_target *target = sl_current_target();
	struct file *file = sl_file_of_fd(fd);
	struct sock *sk = file ? sl_probe_sock_of_file(file) : NULL;
	__u64 files = sl_current_files(), number = 0;
	__u32 inherited;

	if (!target)
		return 0;
	if (sk && sl_is_unix(sk) && sl_is_watched_sock(sk)) {
		number = sl_unix_number(sk);
		if (!bpf_map_lookup_elem(&sl_unix, &number))
			number = 0;
	}
	if (!(sl_config.unix_calls & SL_UNIX_CLOSED))
		return 0;
	/* Something else may have taken the place of a socket: dup2(). */
	if (number || sl_unix_noted(target, files, fd, &inherited))
		sl_unix_note(files, fd, file, sk, number, target);
	return 0;
}

__weak __noinline int sl_unix_call_closed(__u32 fd)
{
	struct sl_target *target = sl_current_target();
	__u64 files = sl_current_files(), number;
	struct sl_unix_fd *note;
	__u32 inherited = 0;
	struct file *file;
	struct sock *sk;

	note = target ? sl_unix_noted(target, files, fd, &inherited) : NULL;
	if (!note || !note->number)
		return 0;
	number = note->number;
	sk = (struct sock *)note->sk;
	file = (struct file *)note->file;
	if (inherited)
		sl_unix_note(files, fd, NULL, NULL, 0, target);
	else
		note->closed_ns = bpf_ktime_get_ns();
	if (!bpf_map_lookup_elem(&sl_unix, &number))
		return 0;
	/* From 6.6 on close() releases the socket before it returns (021a160abf62); before that the last one leaves a file
	 * without references. Otherwise somebody else holds it. */
	if (sl_unix_number(sk) == number &&
	    (!bpf_core_field_exists(((struct file___count *)0)->f_count) || sl_file_references(file)))
		return 0;
	sl_unix_closed(number, sk, 0);
	return 0;
}

static __always_inline void sl_unix_pair(__u64 descriptors)
{
	__u32 fds[2] = {};

	if (bpf_probe_read_user(fds, sizeof(fds), (void *)descriptors))
		return;
	sl_unix_made(fds[0]);
	sl_unix_appeared(fds[0]);
	sl_unix_made(fds[1]);
	sl_unix_appeared(fds[1]);
}

/* System calls by their numbers on x86-64. */
static __always_inline void sl_unix_call(const struct pt_regs *regs, __u64 call, long ret)
{
	struct sl_target *target;

	if (ret < 0)
		return;
	switch (call) {
	case 3: /* close */
	case 43: /* accept */
	case 288: /* accept4 */
	case 32: /* dup */
	case 33: /* dup2 */
	case 292: /* dup3 */
	case 436: /* close_range */
		break;
	case 41: /* socket */
	case 53: /* socketpair */
		if (regs->di != SL_AF_UNIX)
			return;
		break;
	case 72: /* fcntl */
		if (regs->si != 0 && regs->si != 1030) /* F_DUPFD, F_DUPFD_CLOEXEC */
			return;
		break;
	default:
		return;
	}
	target = sl_current_target();
	if (!target)
		return;
	if (call == 3) {
		sl_unix_call_closed((__u32)regs->di);
	} else if (call == 436) {
		target->swept++;
	} else if (call == 53) {
		sl_unix_pair(regs->r10);
	} else {
		if (call == 41)
			sl_unix_made((__u32)ret);
		sl_unix_appeared((__u32)ret);
	}
}

/* The last thread of a process ends, and its descriptors are still there: a socket that only they refer to will be closed
 * by nobody but the kernel. Of unix sockets that is told where no trampoline will, of other families it is counted. */
__weak __noinline int sl_leave_fd(__u32 fd)
{
	struct file *file = sl_file_of_fd(fd);
	struct sl_unix_socket *socket;
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct sock *sk;
	__u64 number;

	sk = file ? sl_probe_sock_of_file(file) : NULL;
	if (!sk)
		return 0;
	if (!sl_is_unix(sk) || !(sl_config.unix_calls & SL_UNIX_CLOSED)) {
		sl_note_other_left(file, sk);
		return 0;
	}
	number = sl_unix_number(sk);
	socket = bpf_map_lookup_elem(&sl_unix, &number);
	if (!socket)
		return 0;
	if (socket->leaving != tgid) {
		socket->leaving = tgid;
		socket->descriptors = 0;
	}
	socket->descriptors++;
	if (socket->descriptors == sl_file_references(file)) {
		sl_unix_tell_names(number, sk);
		sl_tell_closed(number, BPF_CORE_READ(sk, __sk_common.skc_state), SL_CLOSE_EXIT, 0, 0, sk, 0,
			       &socket->uses);
		bpf_map_delete_elem(&sl_unix, &number);
	}
	return 0;
}

__weak __noinline int sl_leave_word(__u32 word)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	unsigned long *open = BPF_CORE_READ(task, files, fdt, open_fds);
	unsigned long bits = 0;
	__u32 bit;

	bpf_probe_read_kernel(&bits, sizeof(bits), open + word);
	if (!bits)
		return 0;
	/* 5.10's verifier takes no loop whose head is reached from a call by falling through: the answer is looked at. */
	for (bit = 0; bit < 64; bit++) {
		if (((bits >> bit) & 1) && sl_leave_fd(word * 64 + bit))
			break;
	}
	return 0;
}

#define SL_LEAVING_WORDS 64 /* 4096 descriptors; looks find the others gone */

static __always_inline void sl_leave(const struct sl_target *target)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct files_struct *files = BPF_CORE_READ(task, files);
	__u32 most, word;

	/* Other threads may not have let go of the table yet. */
	if (!files || target->shares_files || BPF_CORE_READ(files, count.counter) > BPF_CORE_READ(task, signal, nr_threads))
		return;
	most = BPF_CORE_READ(files, fdt, max_fds);
	for (word = 0; word < SL_LEAVING_WORDS; word++) {
		if (word * 64 >= most)
			break;
		if (sl_leave_word(word))
			break;
	}
}

#endif
