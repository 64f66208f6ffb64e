/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 2: what the kernel knows of a socket's use: struct sl_facts. By probe reads, or of TCP by typed loads where the
 * verifier knows the pointer: a tenth of the time. */
#ifndef SOCKLEAK_FACTS_BPF_H
#define SOCKLEAK_FACTS_BPF_H

#include "base/read.bpf.h"

#define SL_RCV_SHUTDOWN 1 /* include/net/sock.h */

/* As struct tcp_sock has it. Stamps are the low half of jiffies. */
struct sl_tcp_use {
	__u64 bytes_sent;
	__u64 bytes_received;
	__u32 lsndtime;
	__u32 lrcvtime;
	__u32 rcv_tstamp;
	__u32 rcv_nxt;
	__u32 copied_seq;
	__u32 write_seq;
	__u32 snd_una;
	__u32 snd_wnd;
	__u32 error; /* one that nobody has been told of */
	__u8 state;
	__u8 end_came;
};

#define SL_FILL_TCP_USE(use, tcp, READ)                                                              \
	do {                                                                                         \
		(use)->bytes_sent = READ(tcp, bytes_sent);                                           \
		(use)->bytes_received = READ(tcp, bytes_received);                                   \
		(use)->lsndtime = READ(tcp, lsndtime);                                               \
		(use)->lrcvtime = READ(tcp, inet_conn.icsk_ack.lrcvtime);                            \
		(use)->rcv_tstamp = READ(tcp, rcv_tstamp);                                           \
		(use)->rcv_nxt = READ(tcp, rcv_nxt);                                                 \
		(use)->copied_seq = READ(tcp, copied_seq);                                           \
		(use)->write_seq = READ(tcp, write_seq);                                             \
		(use)->snd_una = READ(tcp, snd_una);                                                 \
		(use)->snd_wnd = READ(tcp, snd_wnd);                                                 \
		(use)->error = READ(tcp, inet_conn.icsk_inet.sk.sk_err);                             \
		(use)->state = READ(tcp, inet_conn.icsk_inet.sk.__sk_common.skc_state);              \
		(use)->end_came = (READ(tcp, inet_conn.icsk_inet.sk.__sk_common.skc_flags) >> SL_SOCK_DONE) & 1; \
	} while (0)

/* A stamp in CLOCK_MONOTONIC. It was read before `jiffies`, but another processor may have set it a tick ahead. */
static __always_inline __u64 sl_time_of_jiffies(__u32 stamp, __u32 jiffies, __u64 now_ns)
{
	__u32 ago = jiffies - stamp;
	__u64 ns = (__u64)ago * sl_config.tick_ns;

	if (ago > 0xFFFFFFF0u)
		return now_ns;
	return ns < now_ns ? now_ns - ns : 1;
}

/* Has a peer, and something to tell of it. */
static __always_inline int sl_is_connected(__u8 state)
{
	return state == SL_TCP_ESTABLISHED || state == SL_TCP_FIN_WAIT1 || state == SL_TCP_FIN_WAIT2 ||
	       state == SL_TCP_CLOSE_WAIT || state == SL_TCP_LAST_ACK || state == SL_TCP_CLOSING;
}

static __always_inline void sl_tell_tcp_use(struct sl_facts *facts, const struct sl_tcp_use *use, __u64 now_ns)
{
	__u32 jiffies = (__u32)bpf_jiffies64();
	__u8 state = use->state;

	/* The handshake sets both stamps, too; and a FIN counts as a byte received. */
	if (use->bytes_sent)
		facts->last_sent_ns = sl_time_of_jiffies(use->lsndtime, jiffies, now_ns);
	if (use->bytes_received > use->end_came)
		facts->last_received_ns = sl_time_of_jiffies(use->lrcvtime, jiffies, now_ns);
	/* Data that acknowledges nothing new leaves rcv_tstamp as it is. */
	if (use->rcv_tstamp)
		facts->last_segment_ns = sl_time_of_jiffies(use->rcv_tstamp, jiffies, now_ns);
	if (facts->last_segment_ns < facts->last_received_ns)
		facts->last_segment_ns = facts->last_received_ns;
	if (use->write_seq)
		facts->flags |= SL_FACTS_ATTEMPTED;
	facts->unread = use->rcv_nxt - use->copied_seq;
	if (use->end_came) {
		facts->flags |= SL_FACTS_END_CAME;
		if (facts->unread)
			facts->unread--;
		else
			facts->flags |= SL_FACTS_END_READ;
	}
	/* Refused, reset or timed out: sk_err stays until a call has returned it. */
	if (state == SL_TCP_CLOSE && use->write_seq && !use->end_came)
		facts->flags |= use->error ? SL_FACTS_END_CAME : SL_FACTS_END_CAME | SL_FACTS_END_READ;
	if (!sl_is_connected(state))
		return;
	facts->unacknowledged = use->write_seq - use->snd_una;
	if (facts->unacknowledged &&
	    (state == SL_TCP_FIN_WAIT1 || state == SL_TCP_LAST_ACK || state == SL_TCP_CLOSING)) /* our own FIN */
		facts->unacknowledged--;
	if (!use->snd_wnd)
		facts->flags |= SL_FACTS_WINDOW_CLOSED;
}

/* What waits in its queue. UDP gives memory back in batches, so some is still charged to an empty queue
 * (udp_rmem_release()). Unix sockets charge the sender: the first messages are looked at instead. */
static __always_inline __u32 sl_queued(const struct sock *sk)
{
	__u32 charged = BPF_CORE_READ(sk, sk_backlog.rmem_alloc.counter), kept = 0;

	if (BPF_CORE_READ(sk, sk_protocol) == SL_IPPROTO_UDP &&
	    bpf_core_field_exists(((struct udp_sock *)0)->forward_deficit))
		kept = BPF_CORE_READ((struct udp_sock *)sk, forward_deficit);
	return charged > kept ? charged - kept : 0;
}

#define SL_UNIX_MESSAGES 4

static __always_inline __u32 sl_unix_queued(const struct sock *sk)
{
	const void *head = (const char *)sk + bpf_core_field_offset(struct sock, sk_receive_queue);
	struct sk_buff *message = BPF_CORE_READ(sk, sk_receive_queue.next);
	__u32 bytes = 0, consumed = 0;
	int i;

	if (message == head || BPF_CORE_READ(sk, __sk_common.skc_state) == SL_TCP_LISTEN) /* empty, or connections */
		return 0;
	if (bpf_core_type_exists(struct unix_skb_parms))
		bpf_probe_read_kernel(&consumed, sizeof(consumed),
				      (const char *)message + bpf_core_field_offset(struct sk_buff, cb) +
					      bpf_core_field_offset(struct unix_skb_parms, consumed));
	for (i = 0; i < SL_UNIX_MESSAGES; i++) {
		if (!message || message == head)
			break;
		bytes += BPF_CORE_READ(message, len);
		message = BPF_CORE_READ(message, next);
	}
	return bytes > consumed ? bytes - consumed : 0;
}

/* `sk`: an address to read from. `facts` is all zeros. */
static __always_inline void sl_probe_facts(struct sl_facts *facts, const struct sock *sk, __u64 now_ns)
{
	const struct tcp_sock *tcp = (const struct tcp_sock *)sk;
	__u32 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	struct sl_tcp_use use;

	facts->flags = SL_FACTS_KNOWN;
	if (family == SL_AF_UNIX) {
		facts->unread = sl_unix_queued(sk);
		/* Its peer is gone, or will not send any more. Nothing tells whether the program knows. */
		if (BPF_CORE_READ(sk, __sk_common.skc_state) == SL_TCP_ESTABLISHED &&
		    (BPF_CORE_READ(sk, sk_shutdown) & SL_RCV_SHUTDOWN))
			facts->flags |= SL_FACTS_END_CAME;
	} else if (BPF_CORE_READ(sk, sk_protocol) == SL_IPPROTO_TCP) {
		SL_FILL_TCP_USE(&use, tcp, BPF_CORE_READ);
		sl_tell_tcp_use(facts, &use, now_ns);
	} else {
		facts->unread = sl_queued(sk);
	}
}

/* The same of a pointer that the verifier knows. */
static __always_inline void sl_typed_facts(struct sl_facts *facts, struct sock *sk, __u64 now_ns)
{
#ifdef SL_PROBE_READS
	sl_probe_facts(facts, sk, now_ns);
#else
#define SL_FOLLOW(source, path) ((source)->path)
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	struct sl_tcp_use use;

	if (!tcp) {
		sl_probe_facts(facts, sk, now_ns);
		return;
	}
	facts->flags = SL_FACTS_KNOWN;
	SL_FILL_TCP_USE(&use, tcp, SL_FOLLOW);
	sl_tell_tcp_use(facts, &use, now_ns);
#endif
}

#endif
