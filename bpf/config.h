/* SPDX-License-Identifier: MIT OR GPL-2.0
 * The only way configuration goes down: .rodata, written between open and load. */
#ifndef SOCKLEAK_CONFIG_H
#define SOCKLEAK_CONFIG_H

#ifndef __bpf__
#include <linux/types.h>
#endif

/* sl_touch_mode: of which sockets the last read or write is noted. It may change while the programs run. */
#define SL_TOUCHES_OF_NONE 0
#define SL_TOUCHES_OF_SUSPECTS 1
#define SL_TOUCHES_OF_ALL 2

struct sl_config {
	__u32 follow_children; /* 1 = a target's children become targets */
	__u32 copy_stacks; /* 0 = never ship user stack bytes (--no-snapshot) */
	__u32 cpus; /* possible CPUs: spreads address-space ids without atomics */
	__u32 event_ring_bytes; /* wake user space when half of it is used */
};

#endif
