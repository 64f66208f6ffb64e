/* SPDX-License-Identifier: MIT OR GPL-2.0
 *
 * Frames of HotSpot's interpreter: the rule that walks through one, and the record of which methods they run. Rules as in
 * wire.h; these records are never recorded, so they have no version.
 */
#ifndef SOCKLEAK_JAVA_WIRE_H
#define SOCKLEAK_JAVA_WIRE_H

#include "wire.h"

#define SL_JAVA_STACK 27 /* the interpreted frames of the SL_STACK_* record that follows */

/* In sl_rule.kind. Its caller's sp is a word of the frame, because the frame itself moved it for its arguments. */
#define SL_RULE_INTERPRETED 8

/* Words of such a frame, in bytes from bp (frame_x86.hpp of the HotSpot sources, the same since JDK 11). */
#define SL_INTERPRETED_BYTECODE (-64) /* where it executes; 0 = a native method */
#define SL_INTERPRETED_METHOD (-24)
#define SL_INTERPRETED_SENDER_SP (-8)
#define SL_INTERPRETED_SENDER_PC 8

struct sl_java_frame {
	__u64 method; /* address of the Method */
	__u64 bytecode;
	__u32 frame; /* which frame of the stack it is: 0 = the innermost */
	__u32 padding;
};

struct sl_java_stack {
	struct sl_header header;
	__u64 stack; /* as in the SL_STACK_* record */
	__u32 asid;
	__u32 count;
	struct sl_java_frame frames[SL_MAX_FRAMES]; /* innermost first */
};

SL_ASSERT_SIZE(sl_java_frame, 24);
SL_ASSERT_SIZE(sl_java_stack, 3096);

#endif
