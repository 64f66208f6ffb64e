/* SPDX-License-Identifier: MIT OR GPL-2.0
 *
 * The ABI between scan.bpf.c and userspace/scan/: what one pass over the kernel's tables says. Rules as in wire.h.
 * Never stored: both sides come from one build, so there is no version.
 *
 * Identities (`socket`, `task`, …) are only compared with each other within one pass and never shown.
 */
#ifndef SOCKLEAK_SCAN_WIRE_H
#define SOCKLEAK_SCAN_WIRE_H

#include "wire.h"

#define SL_SCAN_SOCKET 200
#define SL_SCAN_HOLDER 201
#define SL_SCAN_TASK 202

/* sl_scan_socket.facts */
#define SL_FACT_HAS_SOCKET 0x01 /* sk_socket is set */
#define SL_FACT_HAS_FILE 0x02 /* and has a file */
#define SL_FACT_DEAD 0x04 /* SOCK_DEAD */
#define SL_FACT_KERNEL 0x08 /* sk_kern_sock */
#define SL_FACT_MPTCP 0x10 /* a subflow */
#define SL_FACT_BUCKET 0x20 /* has a bind bucket: occupies its local port */
#define SL_FACT_BOUND 0x40 /* and the bucket was made by bind() or listen(): nobody's connect() may share the port */
#define SL_FACT_MINI 0x80 /* TIME_WAIT or NEW_SYN_RECV: no full socket */

/* sl_scan_socket.marks */
#define SL_MARK_TIMESTAMPS 0x01 /* TIME_WAIT: the peer sent TCP timestamps, so the entry can be reused */
#define SL_MARK_AWAITED 0x02 /* somebody waits for what happens to it, through epoll or asleep */

#define SL_SCAN_WAITERS 4 /* tasks that sleep on one socket; more than one is rare */

/* Every record. */
struct sl_scan_header {
	__u16 size;
	__u16 type;
	__u32 reserved;
};

struct sl_scan_socket {
	struct sl_scan_header header;
	__u64 socket;
	__u64 cookie;
	__u64 inode;
	__u64 file;
	__u64 credentials; /* of the task that opened the file: every process has its own */
	__u64 file_references;
	__u64 rx_bytes;
	__u64 tx_bytes;
	__u64 waiters[SL_SCAN_WAITERS]; /* tasks asleep on it */
	__u64 ring_waiter; /* a task whose io_uring request waits for it */
	__u32 since_send; /* jiffies */
	__u32 since_receive;
	__u32 since_ack;
	__u32 timer; /* TIME_WAIT: jiffies left */
	__u32 netns;
	__u32 uid;
	__u32 ack_backlog; /* LISTEN: connections waiting to be accepted */
	__u32 max_ack_backlog;
	__u32 receive_queue; /* bytes */
	__u32 send_queue;
	__u8 state;
	__u8 substate; /* TIME_WAIT: FIN_WAIT2 if that is what it stands for */
	__u8 facts;
	__u8 marks; /* SL_MARK_* */
	struct sl_tuple tuple;
	__u32 interface; /* it is bound to; 0 = none */
	__u8 waiter; /* SL_WAITER_* */
	__u8 padding[7];
};

struct sl_scan_holder {
	struct sl_scan_header header;
	__u64 socket;
	__u64 cookie;
	__u64 container; /* identity of the descriptor table, ring, unix socket or task */
	__u64 task;
	__u64 cgroup; /* of the task; cgroup2 id */
	__u64 start_ns; /* of the process, boot-time */
	__u32 tgid;
	__u32 tid;
	__s32 fd; /* or the slot in a ring, the place in a message */
	__u8 via; /* SL_VIA_* */
	__u8 close_on_exec;
	__u8 leader_ended; /* the thread group's leader is a zombie */
	__u8 family; /* of the socket; 0 = an internet family */
	char comm[SL_COMM_LEN];
};

struct sl_scan_task {
	struct sl_scan_header header;
	__u64 task;
	__u64 credentials;
	__u64 files; /* identity of the descriptor table; 0 = none (kernel thread, or past exit_files()) */
	__u64 descriptor_limit; /* RLIMIT_NOFILE */
	__u64 next_descriptor; /* every lower one is in use */
	__u64 start_ns; /* of the process, boot-time */
	__u32 tgid;
	__u32 tid;
	__u32 most_descriptors; /* the table's size */
	__u8 exiting; /* PF_EXITING */
	__u8 ended; /* zombie or dead: its files are closed */
	__u8 executed; /* a program, since it was forked */
	__u8 padding;
	char comm[SL_COMM_LEN];
};

SL_ASSERT_SIZE(sl_scan_header, 8);
SL_ASSERT_SIZE(sl_scan_socket, 208);
SL_ASSERT_SIZE(sl_scan_holder, 88);
SL_ASSERT_SIZE(sl_scan_task, 88);

#endif
