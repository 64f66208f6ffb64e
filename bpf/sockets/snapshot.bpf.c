// SPDX-License-Identifier: MIT OR GPL-2.0
/* What the kernel's own tables say: which tracked sockets exist now, and who holds them. Read by user space through
 * iterator files; each read restarts at the beginning. */
#include "base/read.bpf.h"
#include "processes/filter.bpf.h"
#include "sockets/facts.bpf.h"
#include "sockets/other_families.bpf.h"
#include "sockets/tracked.bpf.h"
#include "sockets/uses.bpf.h"
#include "unix/unix_calls.bpf.h"

#define SL_WAKER(i) sl_config.wakers[i]
#include "sockets/wait_queue.bpf.h"

/* `adopt`: a target holds it; if nothing has told of it, it becomes ours now. */
static __always_inline struct sl_socket *sl_tracked(struct sock *sk, int adopt)
{
	struct sl_socket *socket = sl_find_socket(sk);
	__u64 cookie;

	if (!socket && adopt)
		socket = sl_new_socket(sk);
	if (!socket)
		return NULL;
	cookie = sl_cookie(sk);
	if (!cookie) { /* user space has made sure of the targets' sockets before it adopts them */
		sl_forget_socket(sk);
		return NULL;
	}
	if (socket->cookie != cookie) {
		socket->listener_cookie = socket->cookie;
		socket->cookie = cookie;
		sl_begin_uses(&socket->uses);
	}
	return socket;
}

static __always_inline __u64 sl_listener_key(const struct sock *sk)
{
	__u32 netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);

	return ((__u64)netns << 16) | BPF_CORE_READ(sk, __sk_common.skc_num);
}

static __always_inline struct sock *sl_sock_of_file(struct file *file)
{
#ifdef SL_SOCKET_HASH
	return sl_probe_sock_of_file(file);
#else
	struct socket *socket = bpf_sock_from_file(file);

	return socket ? socket->sk : NULL;
#endif
}

static __always_inline void sl_fill_bytes(__u64 *rx_bytes, __u64 *tx_bytes, const struct sock *sk)
{
	const struct tcp_sock *tcp = (const struct tcp_sock *)sk;

	*rx_bytes = BPF_CORE_READ(tcp, bytes_received);
	*tx_bytes = BPF_CORE_READ(tcp, bytes_sent);
}

/* Of a socket that the iterator or bpf_sock_from_file() has given; the basic build's are bare numbers. */
static __always_inline void sl_look_tuple(struct sl_tuple *tuple, const struct sock *sk)
{
#ifdef SL_PROBE_READS
	sl_probe_tuple(tuple, sk);
#else
	if (sk->__sk_common.skc_family == SL_AF_UNIX)
		sl_probe_tuple(tuple, sk);
	else
		sl_fill_tuple(tuple, sk);
#endif
}

static __always_inline void sl_look_facts(struct sl_facts *facts, struct sock *sk, __u64 now_ns, const struct sl_uses *uses)
{
	sl_typed_facts(facts, sk, now_ns);
	facts->waiter = sl_waiter_in(SL_LOAD(sk, sk_wq));
	if (uses)
		sl_tell_uses(&facts->uses, uses, BPF_CORE_READ(sk, __sk_common.skc_family));
}

SEC("iter/task_file")
int sl_iter_task_file(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct sl_snapshot_holder holder = {};
	__u64 word = 0, *close_on_exec;
	struct sl_target *target;
	struct sl_socket *socket;
	struct sl_unix_socket *known = NULL;
	const struct sl_uses *uses = NULL;
	int adopt = 0;
	__u32 tgid, family;
	struct sock *sk;

	if (!task || !file)
		return 0;
	sk = sl_sock_of_file(file);
	tgid = task->tgid;
	family = sk ? sl_other_family(sk) : 0;
	if (family)
		sl_note_other(sk, family, tgid);
	if (!sk || !sl_is_watched_sock(sk))
		return 0;
	if (sl_adopting) {
		target = bpf_map_lookup_elem(&sl_targets, &tgid);
		adopt = target && target->joined_ns >= sl_adopting_from;
	}
	if (sl_is_unix(sk)) {
		known = sl_unix_found(sk, adopt, &holder.cookie);
		if (!known)
			return 0;
		uses = &known->uses;
		if (!sl_unix_again(known) && !sl_unix_write_names(ctx->meta->seq, sk, holder.cookie))
			return 0;
		if (sl_config.unix_calls & SL_UNIX_CLOSED)
			sl_unix_note_held(task, ctx->fd, file, sk, holder.cookie);
	} else {
		socket = sl_tracked(sk, adopt);
		if (!socket)
			return 0;
		uses = &socket->uses;
		holder.cookie = socket->cookie;
		holder.listener_cookie = socket->listener_cookie;
		if (adopt && BPF_CORE_READ(sk, __sk_common.skc_state) == SL_TCP_LISTEN) {
			__u64 key = sl_listener_key(sk), cookie = socket->cookie;

			bpf_map_update_elem(&sl_listeners, &key, &cookie, BPF_ANY);
			sl_note_listening(sk, SL_TCP_CLOSE, SL_TCP_LISTEN);
			sl_note_mptcp(sk, SL_TCP_CLOSE, SL_TCP_LISTEN);
		}
	}
	holder.header.size = sizeof(holder);
	holder.header.type = SL_SNAPSHOT_HOLDER;
	holder.header.ktime_ns = bpf_ktime_get_ns();
	holder.header.tgid = tgid;
	holder.header.tid = task->pid;
	holder.header.start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	holder.inode = BPF_CORE_READ(file, f_inode, i_ino);
	holder.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	holder.fd = ctx->fd;
	holder.via = SL_VIA_FD;
	holder.state = BPF_CORE_READ(sk, __sk_common.skc_state);
	close_on_exec = (__u64 *)BPF_CORE_READ(task, files, fdt, close_on_exec);
	bpf_probe_read_kernel(&word, sizeof(word), close_on_exec + ctx->fd / 64);
	holder.close_on_exec = (word >> (ctx->fd % 64)) & 1;
	sl_look_tuple(&holder.tuple, sk);
	sl_look_facts(&holder.facts, sk, holder.header.ktime_ns, uses);
	if (holder.tuple.protocol == 6)
		sl_fill_bytes(&holder.rx_bytes, &holder.tx_bytes, sk);
	bpf_probe_read_kernel_str(holder.comm, sizeof(holder.comm), BPF_CORE_READ(task, group_leader)->comm);
	if (!bpf_seq_write(ctx->meta->seq, &holder, sizeof(holder)) && known)
		sl_unix_mark(known);
	return 0;
}

/* Every unix socket, also those that only a message in flight or a ring holds. Only the reader's network namespace. Each
 * is written once in a look, because user space walks again where a full buffer has interrupted a walk. */
SEC("iter/unix")
int sl_iter_unix(struct bpf_iter__unix *ctx)
{
	struct sock *sk = (struct sock *)ctx->unix_sk;
	struct sl_snapshot_socket record = {};
	struct sl_unix_socket *known;

	if (!sk)
		return 0;
	known = sl_unix_found(sk, 0, &record.cookie);
	if (!known || sl_unix_again(known))
		return 0;
	if (sl_unix_marks_only) {
		sl_unix_mark(known);
		return 0;
	}
	if (!sl_unix_write_names(ctx->meta->seq, sk, record.cookie))
		return 0;
	record.header.size = sizeof(record);
	record.header.type = SL_SNAPSHOT_SOCKET;
	record.header.ktime_ns = bpf_ktime_get_ns();
	record.inode = sl_unix_inode(sk);
	record.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	record.state = BPF_CORE_READ(sk, __sk_common.skc_state);
	sl_probe_tuple(&record.tuple, sk);
	sl_look_facts(&record.facts, sk, record.header.ktime_ns, &known->uses);
	if (!bpf_seq_write(ctx->meta->seq, &record, sizeof(record)))
		sl_unix_mark(known);
	return 0;
}

/* Finds what no descriptor refers to: accept queues, orphans. Only the reader's network namespace. */
SEC("iter/tcp")
int sl_iter_tcp(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;
	struct sl_snapshot_socket record = {};
	struct sl_socket *socket;
	__u64 key, *listener = NULL;
	struct tcp_sock *tcp;
	struct socket *sock;
	struct sock *sk;

	if (!common || common->skc_state == SL_TCP_TIME_WAIT || common->skc_state == SL_TCP_NEW_SYN_RECV)
		return 0;
	tcp = bpf_skc_to_tcp_sock(common);
	if (!tcp)
		return 0;
	sk = (struct sock *)tcp;
	if (sl_is_subflow(sk))
		return 0;
	sock = BPF_CORE_READ(sk, sk_socket);
	if (sl_adopting && !sock && common->skc_state != SL_TCP_LISTEN && !(BPF_CORE_READ(sk, __sk_common.skc_flags) & 1)) {
		/* in an accept queue: made before its listener was tracked, so it carries no copy */
		key = sl_listener_key(sk);
		listener = bpf_map_lookup_elem(&sl_listeners, &key);
	}
	socket = sl_tracked(sk, listener != NULL);
	if (!socket)
		return 0;
	if (listener && !socket->listener_cookie)
		socket->listener_cookie = *listener;
	record.header.size = sizeof(record);
	record.header.type = SL_SNAPSHOT_SOCKET;
	record.header.ktime_ns = bpf_ktime_get_ns();
	record.cookie = socket->cookie;
	if (sock)
		record.inode = BPF_CORE_READ((struct socket_alloc *)sock, vfs_inode.i_ino);
	record.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	record.state = BPF_CORE_READ(sk, __sk_common.skc_state);
	record.dead = BPF_CORE_READ(sk, __sk_common.skc_flags) & 1;
	sl_look_tuple(&record.tuple, sk);
	sl_look_facts(&record.facts, sk, record.header.ktime_ns, &socket->uses);
	sl_fill_bytes(&record.rx_bytes, &record.tx_bytes, sk);
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}
