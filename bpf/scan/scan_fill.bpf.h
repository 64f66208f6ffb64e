/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Fills one sl_scan_socket. Included twice: with SL_READ as plain loads for pointers the verifier knows (fast, and
 * allowed under lockdown), and as probe reads for sockets found by following pointers. SL_NAME names the functions. */

static __always_inline void SL_NAME(fill_common)(struct sl_scan_socket *out, const struct sock *sk)
{
	out->header.size = sizeof(*out);
	out->header.type = SL_SCAN_SOCKET;
	out->header.reserved = 0;
	out->socket = (__u64)sk;
	out->cookie = SL_READ(sk, __sk_common.skc_cookie.counter);
	out->netns = SL_READ(sk, __sk_common.skc_net.net, ns.inum);
	out->state = SL_READ(sk, __sk_common.skc_state);
	out->uid = SL_READ(sk, sk_uid.val);
	out->interface = SL_READ(sk, __sk_common.skc_bound_dev_if);
	if (SL_READ(sk, __sk_common.skc_flags) & 1)
		out->facts |= SL_FACT_DEAD;
	if (SL_READ_BIT(sk, sk_kern_sock))
		out->facts |= SL_FACT_KERNEL;
	out->tuple.family = SL_READ(sk, __sk_common.skc_family);
	out->tuple.type = (__u8)SL_READ(sk, sk_type);
	out->tuple.protocol = sl_protocol(SL_READ(sk, sk_protocol));
	out->tuple.local_port = SL_READ(sk, __sk_common.skc_num);
	out->tuple.remote_port = bpf_ntohs(SL_READ(sk, __sk_common.skc_dport));
	if (out->tuple.family == SL_AF_INET6) {
		*(__u32 *)(out->tuple.local + 0) = SL_READ(sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[0]);
		*(__u32 *)(out->tuple.local + 4) = SL_READ(sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[1]);
		*(__u32 *)(out->tuple.local + 8) = SL_READ(sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[2]);
		*(__u32 *)(out->tuple.local + 12) = SL_READ(sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[3]);
		*(__u32 *)(out->tuple.remote + 0) = SL_READ(sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32[0]);
		*(__u32 *)(out->tuple.remote + 4) = SL_READ(sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32[1]);
		*(__u32 *)(out->tuple.remote + 8) = SL_READ(sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32[2]);
		*(__u32 *)(out->tuple.remote + 12) = SL_READ(sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32[3]);
	} else {
		*(__u32 *)out->tuple.local = SL_READ(sk, __sk_common.skc_rcv_saddr);
		*(__u32 *)out->tuple.remote = SL_READ(sk, __sk_common.skc_daddr);
	}
}

static __always_inline void SL_NAME(fill_tcp)(struct sl_scan_socket *out, const struct tcp_sock *tcp)
{
	const struct inet_connection_sock *icsk = &tcp->inet_conn;
	const struct sock *sk = &icsk->icsk_inet.sk;
	__u32 now = (__u32)bpf_jiffies64();
	struct inet_bind_bucket *bucket;

	/* An unhashed socket has given its port back; inet_sport still tells which it was. */
	if (!out->tuple.local_port)
		out->tuple.local_port = bpf_ntohs(SL_READ(icsk, icsk_inet.inet_sport));
	out->since_send = now - SL_READ(tcp, lsndtime);
	out->since_receive = now - SL_READ(icsk, icsk_ack.lrcvtime);
	out->since_ack = now - SL_READ(tcp, rcv_tstamp);
	out->rx_bytes = SL_READ(tcp, bytes_received);
	out->tx_bytes = SL_READ(tcp, bytes_sent);
	if (out->state == SL_TCP_LISTEN) {
		out->ack_backlog = SL_READ(sk, sk_ack_backlog);
		out->max_ack_backlog = SL_READ(sk, sk_max_ack_backlog);
	} else {
		out->receive_queue = SL_READ(tcp, rcv_nxt) - SL_READ(tcp, copied_seq);
		out->send_queue = SL_READ(tcp, write_seq) - SL_READ(tcp, snd_una);
	}
	bucket = SL_READ(icsk, icsk_bind_hash);
	if (bucket) {
		out->facts |= SL_FACT_BUCKET;
		if (SL_READ(bucket, fastreuse) >= 0 || SL_READ(bucket, fastreuseport) >= 0)
			out->facts |= SL_FACT_BOUND;
	}
	/* Only in kernels built with MPTCP. */
	if (bpf_core_field_exists(((struct tcp_sock___mptcp *)0)->is_mptcp) &&
	    BPF_CORE_READ((struct tcp_sock___mptcp *)tcp, is_mptcp))
		out->facts |= SL_FACT_MPTCP;
}

/* The file over the socket, its references, and who sleeps on it. */
static __always_inline void SL_NAME(fill_file)(struct sl_scan_socket *out, const struct sock *sk)
{
	struct socket *sock = SL_READ(sk, sk_socket);
	struct list_head *head, *at;
	struct socket_wq *wq;
	struct file *file;
	int i, n = 0;

	out->waiter = SL_WAITER_NOBODY;
	if (!sock)
		return;
	out->facts |= SL_FACT_HAS_SOCKET;
	file = SL_READ(sock, file);
	if (!file)
		return;
	out->facts |= SL_FACT_HAS_FILE;
	out->file = (__u64)file;
	out->inode = SL_READ(file, f_inode, i_ino);
	out->credentials = (__u64)SL_READ(file, f_cred);
	out->file_references = sl_file_references(file);
	wq = SL_READ(sk, sk_wq);
	if (!wq)
		return;
	/* Almost always empty: costs two loads. */
	head = (struct list_head *)((char *)wq + bpf_core_field_offset(struct socket_wq, wait.head));
	at = SL_READ(wq, wait.head.next);
	if (!at || at == head)
		return;
	out->waiter = sl_waiter_in((struct socket_wq *)sl_number(wq));
	out->marks |= SL_MARK_AWAITED;
	for (i = 0; i < SL_SCAN_WAITERS; i++) {
		__u64 waiter = sl_waiter_at(sl_number(head), sl_number(file), i);

		if (!waiter)
			return;
		if (waiter & 1)
			out->ring_waiter = waiter & ~1ULL;
		else
			out->waiters[n++ & (SL_SCAN_WAITERS - 1)] = waiter;
	}
}
