/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 3: what is told of a unix socket's life, whichever hook saw it. */
#ifndef SOCKLEAK_UNIX_LIFE_BPF_H
#define SOCKLEAK_UNIX_LIFE_BPF_H

#include "sockets/socket_life.bpf.h"
#include "unix/unix_socket.bpf.h"

static __always_inline void sl_unix_created(struct sl_target *target, struct sock *sk, __u32 type)
{
	__u64 number = sl_unix_begin(sk);
	struct pt_regs *regs;
	__u16 flags = 0;

	if (!number)
		return;
	regs = sl_user_regs();
	if (regs && SL_LOAD(regs, orig_ax) == 53) /* socketpair (x86-64) */
		flags = SL_CREATED_IN_PAIR;
	sl_created(target, number, SL_AF_UNIX, type, 0, flags);
}

/* Where only the end of its process closes it, its names are told: nobody can ask later. */
static __always_inline void sl_unix_tell_names(__u64 number, const struct sock *sk)
{
	struct sl_socket_named *names = sl_reserve(sizeof(*names));

	if (names && sl_unix_names(names, sk, number))
		sl_submit(names);
	else if (names)
		bpf_ringbuf_discard(names, BPF_RB_NO_WAKEUP);
}

/* `state`: 0 = it is gone already. */
static __always_inline void sl_unix_closed(__u64 number, struct sock *sk, __u32 state)
{
	struct sl_unix_socket *socket = bpf_map_lookup_elem(&sl_unix, &number);

	if (SL_LOAD(sl_task(), flags) & SL_PF_EXITING)
		sl_unix_tell_names(number, sk);
	sl_closed(number, state, state ? sk : NULL, 0, socket ? &socket->uses : NULL);
	bpf_map_delete_elem(&sl_unix, &number);
}

#endif
