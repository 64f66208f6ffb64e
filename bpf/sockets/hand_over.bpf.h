/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 3: sockets that change hands: descriptors that another process had and this one was given. */
#ifndef SOCKLEAK_HAND_OVER_BPF_H
#define SOCKLEAK_HAND_OVER_BPF_H

#include "base/emit.bpf.h"
#include "base/read.bpf.h"
#include "processes/filter.bpf.h"
#include "sockets/tracked.bpf.h"
#include "stacks/stack_copy.bpf.h"
#include "unix/unix_socket.bpf.h"

static __always_inline void sl_received(__u64 cookie, __s32 fd, __u8 how)
{
	struct sl_descriptor_received *event;

	if (!cookie) /* nobody has ever looked at it: not tracked */
		return;
	event = sl_reserve(sizeof(*event));
	if (!event)
		return;
	sl_fill_header(&event->header, SL_DESCRIPTOR_RECEIVED, sizeof(*event));
	event->cookie = cookie;
	event->fd = fd;
	event->how = how;
	__builtin_memset(event->padding, 0, sizeof(event->padding));
	sl_submit(event);
}

/* A function of its own, as sl_accepted(). */
__weak __noinline int sl_received_fd(__u32 fd, __u32 how)
{
	struct file *file = sl_file_of_fd(fd);
	struct sock *sk;

	if (!file)
		return 0;
	sk = sl_probe_sock_of_file(file);
	if (!sk || !sl_is_watched_sock(sk))
		return 0;
	sl_received(sl_is_unix(sk) ? sl_unix_number(sk) : sl_probe_cookie(sk), (__s32)fd, (__u8)how);
	return 0;
}

/* Which of the ways it is that a descriptor comes into the current process; 0 = another one (seccomp's addfd happens in
 * whatever call was interrupted). By system calls of x86-64. */
static __always_inline __u8 sl_way_of_receiving(void)
{
	struct pt_regs *regs = sl_user_regs();

	if (SL_LOAD(sl_task(), flags) & SL_PF_IO_WORKER)
		return SL_RECEIVED_MESSAGE;
	switch (regs ? SL_LOAD(regs, orig_ax) : 0) {
	case 438: /* pidfd_getfd */
		return SL_RECEIVED_PIDFD;
	case 47: /* recvmsg */
	case 299: /* recvmmsg */
	case 426: /* io_uring_enter */
		return SL_RECEIVED_MESSAGE;
	}
	return 0;
}

/* struct user_msghdr and struct cmsghdr as programs see them. */
struct sl_message {
	__u64 name, name_length, iov, iov_length, control, control_length;
};
struct sl_control {
	__u64 length;
	__s32 level, type;
};
#define SL_SOL_SOCKET 1
#define SL_SCM_RIGHTS 1
#define SL_CONTROLS 4 /* credentials, security label, pidfd, and then the descriptors */
#define SL_MESSAGE_FDS 64 /* of at most 253 (SCM_MAX_FD); more are counted */

/* recvmsg() has returned: the descriptors are in the caller's control buffer. A function of its own, as sl_accepted(). */
__weak __noinline int sl_received_message(__u64 header)
{
	struct sl_message message = {};
	struct sl_control control = {};
	__u64 at, end;
	__u32 i, fd, count = 0;

	if (!sl_current_target() || bpf_probe_read_user(&message, sizeof(message), (void *)header))
		return 0;
	at = message.control;
	end = at + message.control_length;
	if (!at)
		return 0;
	for (i = 0; i < SL_CONTROLS; i++) {
		if (at + sizeof(control) > end || bpf_probe_read_user(&control, sizeof(control), (void *)at) ||
		    control.length < sizeof(control))
			return 0;
		if (control.level == SL_SOL_SOCKET && control.type == SL_SCM_RIGHTS) {
			count = (__u32)((control.length - sizeof(control)) / sizeof(__s32));
			break;
		}
		at += (control.length + 7) & ~7ULL;
	}
	if (count > SL_MESSAGE_FDS)
		sl_count(SL_COUNTER_HAND_OVERS_CUT);
	for (i = 0; i < SL_MESSAGE_FDS; i++) {
		if (i >= count || bpf_probe_read_user(&fd, sizeof(fd), (void *)(at + sizeof(control) + i * sizeof(fd))))
			return 0;
		sl_received_fd(fd, SL_RECEIVED_MESSAGE);
	}
	return 0;
}

#endif
