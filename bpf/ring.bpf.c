// SPDX-License-Identifier: MIT OR GPL-2.0
/* What a target does through io_uring and no other hook sees: accepting. Making, connecting and closing come by the same
 * places as the system calls, but for unix sockets where those are learnt from system calls only. */
#include "hand_over.bpf.h"
#include "ring_slots.bpf.h"
#include "socket_life.bpf.h"
#include "unix_calls.bpf.h"

#define SL_IORING_OP_ACCEPT 13
#define SL_IORING_OP_CLOSE 19
#define SL_IORING_OP_SOCKET 45
#define SL_ANY_SLOT 0xffffffffU /* IORING_FILE_INDEX_ALLOC: the answer tells which */

static __always_inline void sl_unix_request(struct io_kiocb *asked, __s32 result)
{
	__u8 what = BPF_CORE_READ(asked, opcode);

	if (what == SL_IORING_OP_SOCKET && bpf_core_type_exists(struct io_socket) &&
	    BPF_CORE_READ((struct io_socket *)asked, domain) == SL_AF_UNIX &&
	    !BPF_CORE_READ((struct io_socket *)asked, file_slot)) {
		sl_unix_made((__u32)result);
		sl_unix_appeared((__u32)result);
	}
	if (what == SL_IORING_OP_CLOSE && bpf_core_type_exists(struct io_close) &&
	    !BPF_CORE_READ((struct io_close *)asked, file_slot))
		sl_unix_call_closed((__u32)BPF_CORE_READ((struct io_close *)asked, fd));
}

/* Raised for each answer, in the task that asked or in a worker of its ring. `request` is the second argument from 5.18
 * on (c4bb964fa092); NULL for the further answers of a multishot request. */
SEC("tp_btf/io_uring_complete")
int BPF_PROG(sl_io_uring_complete, void *ring, void *request)
{
	struct sl_slot_table table = {};
	struct io_kiocb *asked = request;
	struct file *file, *listener;
	struct sock *sk;
	__u32 slot;
	__s32 fd;

	if (!bpf_core_field_exists(asked->cqe) || !bpf_core_type_exists(struct io_accept) || !request || !sl_current_target())
		return 0;
	fd = BPF_CORE_READ(asked, cqe.res);
	if (fd < 0)
		return 0;
	if (sl_config.unix_calls)
		sl_unix_request(asked, fd);
	if (BPF_CORE_READ(asked, opcode) != SL_IORING_OP_ACCEPT)
		return 0;
	/* The first member of a request is its own data, whatever the operation. */
	slot = BPF_CORE_READ((struct io_accept *)request, file_slot);
	if (slot) {
		sl_slots_of_ring(&table, ring);
		file = sl_file_in_slot(&table, slot == SL_ANY_SLOT ? (__u32)fd : slot - 1);
		fd = -1;
	} else {
		file = sl_file_of_fd((__u32)fd);
	}
	if (!file)
		return 0;
	sk = sl_probe_sock_of_file(file);
	if (!sk)
		return 0;
	listener = BPF_CORE_READ(asked, file);
	sl_accepted_socket(listener ? sl_probe_sock_of_file(listener) : NULL, sk, sl_probe_cookie(sk), fd);
	if (sl_config.unix_calls && fd >= 0)
		sl_unix_appeared((__u32)fd);
	return 0;
}
