// SPDX-License-Identifier: MIT OR GPL-2.0
/* What a target does through io_uring and no other hook sees: accepting. Making, connecting and closing come by the same
 * places as the system calls, but for unix sockets where those are learnt from system calls only. */
#include "sockets/hand_over.bpf.h"
#include "sockets/socket_life.bpf.h"
#include "unix/unix_calls.bpf.h"

#include "io_uring/ring_slots.bpf.h"

#define SL_IORING_OP_ACCEPT 13
#define SL_IORING_OP_CLOSE 19
#define SL_IORING_OP_SOCKET 45
#define SL_ANY_SLOT 0xffffffffU /* IORING_FILE_INDEX_ALLOC: the answer tells which */

#define SL_RING_MADE 1
#define SL_RING_CLOSED 2

/* What a request has done with a unix socket, and its descriptor. Functions of their own, as in unix_calls.bpf.h. */
__weak __noinline int sl_ring_did(__u64 request)
{
	struct io_kiocb *asked = (struct io_kiocb *)request;
	__u8 what = BPF_CORE_READ(asked, opcode);

	if (what == SL_IORING_OP_SOCKET && bpf_core_type_exists(struct io_socket) &&
	    BPF_CORE_READ((struct io_socket *)asked, domain) == SL_AF_UNIX &&
	    !BPF_CORE_READ((struct io_socket *)asked, file_slot))
		return SL_RING_MADE;
	if (what == SL_IORING_OP_CLOSE && bpf_core_type_exists(struct io_close) &&
	    !BPF_CORE_READ((struct io_close *)asked, file_slot))
		return SL_RING_CLOSED;
	return 0;
}

__weak __noinline int sl_ring_closed_fd(__u64 request)
{
	return bpf_core_type_exists(struct io_close) ? (int)BPF_CORE_READ((struct io_close *)request, fd) : -1;
}

/* An accept has returned `fd`, or the slot of a connection. */
__weak __noinline int sl_ring_accepted(__u64 ring, __u64 request, __s32 fd)
{
	struct io_kiocb *asked = (struct io_kiocb *)request;
	struct sl_slot_table table = {};
	struct file *file, *listener;
	struct sock *sk;
	__u32 slot;

	if (!bpf_core_type_exists(struct io_accept))
		return 0;
	/* The first member of a request is its own data, whatever the operation. */
	slot = BPF_CORE_READ((struct io_accept *)request, file_slot);
	if (slot) {
		sl_slots_of_ring(&table, (struct io_ring_ctx *)ring);
		file = sl_file_in_slot(&table, slot == SL_ANY_SLOT ? (__u32)fd : slot - 1);
		fd = -1;
	} else {
		file = sl_file_of_fd((__u32)fd);
	}
	sk = file ? sl_probe_sock_of_file(file) : NULL;
	if (!sk)
		return 0;
	listener = BPF_CORE_READ(asked, file);
	sl_accepted_socket(listener ? sl_probe_sock_of_file(listener) : NULL, sk, sl_probe_cookie(sk), fd);
	return 1;
}

/* Raised for each answer, in the task that asked or in a worker of its ring. `request` is NULL for the further answers of a
 * multishot request. */
SEC("tp_btf/io_uring_complete")
int BPF_PROG(sl_io_uring_complete, void *ring, void *request)
{
	struct io_kiocb *asked = request;
	int did = 0;
	__s32 fd;

	if (!SL_RINGS_TELL_REQUESTS || !request || !sl_current_target())
		return 0;
	fd = BPF_CORE_READ(asked, cqe.res);
	if (fd < 0)
		return 0;
	if (sl_config.unix_calls)
		did = sl_ring_did(sl_address(request));
	if (did == SL_RING_MADE) {
		sl_unix_made((__u32)fd);
		sl_unix_appeared((__u32)fd);
	} else if (did == SL_RING_CLOSED) {
		sl_unix_call_closed((__u32)sl_ring_closed_fd(sl_address(request)));
	} else if (BPF_CORE_READ(asked, opcode) == SL_IORING_OP_ACCEPT &&
		   sl_ring_accepted(sl_address(ring), sl_address(request), fd) && sl_config.unix_calls) {
		sl_unix_appeared((__u32)fd);
	}
	return 0;
}
