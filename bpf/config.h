/* SPDX-License-Identifier: MIT OR GPL-2.0
 * The only way configuration goes down: .rodata, written between open and load. */
#ifndef SOCKLEAK_CONFIG_H
#define SOCKLEAK_CONFIG_H

#ifndef __bpf__
#include <linux/types.h>
#endif

struct sl_config {
	__u32 follow_children; /* 1 = a target's children become targets */
	__u32 copy_stacks; /* 0 = never ship user stack bytes (--no-snapshot) */
	__u32 cpus; /* possible CPUs: spreads address-space ids without atomics */
	__u32 event_ring_bytes; /* wake user space when half of it is used */
};

#endif
