/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 1: reads of kernel structures. Typed loads where the verifier knows the pointer (tp_btf, iterators),
 * probe reads where it does not (a file found through a descriptor table). */
#ifndef SOCKLEAK_READ_BPF_H
#define SOCKLEAK_READ_BPF_H

#include "base/maps.bpf.h"

#include "base/file_references.bpf.h"

#define SL_AF_UNIX 1
#define SL_AF_INET 2
#define SL_AF_INET6 10
#define SL_IPPROTO_TCP 6
#define SL_IPPROTO_UDP 17
#define SL_IPPROTO_MPTCP 262
#define SL_PF_EXITING 0x00000004
#define SL_PF_IO_WORKER 0x00000010
#define SL_PF_KTHREAD 0x00200000
#define SL_SOCK_DEAD 0 /* bit in sk_flags, enum sock_flags */
#define SL_SOCK_DONE 1 /* the same: tcp_fin() was here */

#define SL_TCP_ESTABLISHED 1
#define SL_TCP_SYN_SENT 2
#define SL_TCP_SYN_RECV 3
#define SL_TCP_FIN_WAIT1 4
#define SL_TCP_FIN_WAIT2 5
#define SL_TCP_TIME_WAIT 6
#define SL_TCP_CLOSE 7
#define SL_TCP_CLOSE_WAIT 8
#define SL_TCP_LAST_ACK 9
#define SL_TCP_LISTEN 10
#define SL_TCP_CLOSING 11
#define SL_TCP_NEW_SYN_RECV 12

/* Kernels from 5.11 (bpf_get_current_task_btf) let programs follow typed pointers with plain loads, a nanosecond each
 * instead of the 20 to 30 of a probe read. SL_PROBE_READS is the variant for kernels that refuse it. */
#ifdef SL_PROBE_READS
#define SL_LOAD(source, ...) BPF_CORE_READ(source, __VA_ARGS__)
static __always_inline struct task_struct *sl_task(void)
{
	return (struct task_struct *)bpf_get_current_task();
}
#else
#define SL_LOAD_1(source, a) (source)->a
#define SL_LOAD_2(source, a, b) (source)->a->b
#define SL_LOAD_3(source, a, b, c) (source)->a->b->c
#define SL_LOAD_N(_1, _2, _3, name, ...) name
#define SL_LOAD(source, ...) SL_LOAD_N(__VA_ARGS__, SL_LOAD_3, SL_LOAD_2, SL_LOAD_1)(source, __VA_ARGS__)
static __always_inline struct task_struct *sl_task(void)
{
	return bpf_get_current_task_btf();
}
#endif

/* sk_protocol is 16 bits wide because of MPTCP (Linux commit bf9765145b85); the wire has 8. */
static __always_inline __u8 sl_protocol(__u32 protocol)
{
	return protocol == SL_IPPROTO_MPTCP ? 254 : (__u8)protocol;
}

static __always_inline void sl_fill_header(struct sl_header *header, __u16 type, __u32 size)
{
	struct task_struct *task = sl_task();
	__u64 id = bpf_get_current_pid_tgid();

	header->size = size;
	header->type = type;
	header->flags = 0;
	header->ktime_ns = bpf_ktime_get_ns();
	header->tgid = id >> 32;
	header->tid = (__u32)id;
	header->start_ns = SL_LOAD(task, group_leader, start_boottime);
}

/* Softirq: `current` is whoever was interrupted. */
static __always_inline void sl_fill_anonymous_header(struct sl_header *header, __u16 type, __u32 size)
{
	header->size = size;
	header->type = type;
	header->flags = 0;
	header->ktime_ns = bpf_ktime_get_ns();
	header->tgid = 0;
	header->tid = 0;
	header->start_ns = 0;
}

static __always_inline __u32 sl_current_netns(void)
{
	struct task_struct *task = sl_task();

	return SL_LOAD(task, nsproxy, net_ns, ns.inum);
}

/* A socket the verifier knows. Ports are in network order except skc_num. */
static __always_inline void sl_fill_tuple(struct sl_tuple *tuple, const struct sock *sk)
{
	tuple->family = sk->__sk_common.skc_family;
	tuple->type = (__u8)sk->sk_type;
	tuple->protocol = sl_protocol(sk->sk_protocol);
	tuple->local_port = sk->__sk_common.skc_num;
	tuple->remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
	__builtin_memset(tuple->local, 0, sizeof(tuple->local));
	__builtin_memset(tuple->remote, 0, sizeof(tuple->remote));
	if (tuple->family == SL_AF_INET6) {
		*(__u32 *)(tuple->local + 0) = sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[0];
		*(__u32 *)(tuple->local + 4) = sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[1];
		*(__u32 *)(tuple->local + 8) = sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[2];
		*(__u32 *)(tuple->local + 12) = sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[3];
		*(__u32 *)(tuple->remote + 0) = sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[0];
		*(__u32 *)(tuple->remote + 4) = sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[1];
		*(__u32 *)(tuple->remote + 8) = sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[2];
		*(__u32 *)(tuple->remote + 12) = sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[3];
	} else {
		*(__u32 *)tuple->local = sk->__sk_common.skc_rcv_saddr;
		*(__u32 *)tuple->remote = sk->__sk_common.skc_daddr;
	}
}

/* The same for a socket reached by probe reads. */
static __always_inline void sl_probe_tuple(struct sl_tuple *tuple, const struct sock *sk)
{
	tuple->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	tuple->type = (__u8)BPF_CORE_READ(sk, sk_type);
	tuple->protocol = sl_protocol(BPF_CORE_READ(sk, sk_protocol));
	if (tuple->family == SL_AF_UNIX) {
		__builtin_memset(tuple, 0, __builtin_offsetof(struct sl_tuple, family));
		return;
	}
	tuple->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	tuple->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	__builtin_memset(tuple->local, 0, sizeof(tuple->local));
	__builtin_memset(tuple->remote, 0, sizeof(tuple->remote));
	if (tuple->family == SL_AF_INET6) {
		BPF_CORE_READ_INTO((struct in6_addr *)tuple->local, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO((struct in6_addr *)tuple->remote, sk, __sk_common.skc_v6_daddr);
	} else {
		*(__u32 *)tuple->local = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
		*(__u32 *)tuple->remote = BPF_CORE_READ(sk, __sk_common.skc_daddr);
	}
}

#define SL_SOCKFS_MAGIC 0x534F434B /* include/uapi/linux/magic.h */
#define SL_FMODE_PATH 0x4000 /* include/linux/fs.h: a name without the file behind it */

/* The file behind descriptor `fd` of the current task, or NULL. */
static __always_inline struct file *sl_file_of_fd(__u32 fd)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct fdtable *fdt = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(fdt, fd);
	struct file *file = NULL;

	if (fd < BPF_CORE_READ(fdt, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	return file;
}

/* The socket behind descriptor `fd`, or NULL. The caller knows it is a socket: accept() returned it or was called on
 * it. */
static __always_inline struct sock *sl_sock_of_fd(__u32 fd)
{
	struct file *file = sl_file_of_fd(fd);
	struct socket *socket;

	if (!file)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk);
}

/* The socket of a file that may be something else; bpf_sock_from_file() came with 5.11. */
static __always_inline struct sock *sl_probe_sock_of_file(struct file *file)
{
	struct socket *socket;

	if (BPF_CORE_READ(file, f_inode, i_sb, s_magic) != SL_SOCKFS_MAGIC || (BPF_CORE_READ(file, f_mode) & SL_FMODE_PATH))
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	return socket ? BPF_CORE_READ(socket, sk) : NULL;
}

#endif
