/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 2: frames of HotSpot's interpreter.
 *
 * All interpreted methods run in the same few pieces of code, so return addresses do not tell one from another: the
 * method and the place in its bytecode, which such a frame holds, are part of a stack's hash, and of what a remembered
 * walk is compared by. Names are user space's business.
 */
#ifndef SOCKLEAK_JAVA_BPF_H
#define SOCKLEAK_JAVA_BPF_H

#include "stacks/window.bpf.h"

/* Notes which method the frame at `bp` runs, and reads its caller's pc, sp and bp. */
static __always_inline void sl_interpreted_frame(struct sl_window *window, __u64 owner, __u64 bp, __u64 *pc, __u64 *sp,
						 __u64 *caller_bp)
{
	__u64 bytecode = sl_stack_word(window, bp + SL_INTERPRETED_BYTECODE, owner);
	__u64 method = sl_stack_word(window, bp + SL_INTERPRETED_METHOD, owner);
	struct sl_java_frame *noted = &window->java[window->java_count & SL_MAX_FRAMES];

	window->java_count++;
	noted->method = method;
	noted->bytecode = bytecode;
	noted->frame = window->count - 1;
	noted->padding = 0;
	/* in the order in which sl_recall() mixes them */
	sl_note_read(window, bp + SL_INTERPRETED_BYTECODE, bytecode, 1);
	sl_note_read(window, bp + SL_INTERPRETED_METHOD, method, 1);
	window->hash = sl_mix(sl_mix(window->hash, bytecode), method);
	*sp = sl_stack_word(window, bp + SL_INTERPRETED_SENDER_SP, owner);
	sl_note_read(window, bp + SL_INTERPRETED_SENDER_SP, *sp, 0);
	*caller_bp = sl_stack_word(window, bp, owner);
	window->bp_from = bp;
	*pc = sl_stack_word(window, bp + SL_INTERPRETED_SENDER_PC, owner);
	sl_note_read(window, bp + SL_INTERPRETED_SENDER_PC, *pc, 1);
}

/* Sends the interpreted frames of the stack that is about to be sent as `stack`; 0, or why not. */
static __always_inline __u32 sl_java_send(struct sl_window *window, __u64 owner, __u64 stack)
{
	struct sl_java_stack *record;

	if (!window->java_count)
		return 0;
	record = bpf_ringbuf_reserve(&sl_stacks, sizeof(*record), 0);
	if (!record) {
		sl_count(SL_COUNTER_STACK_RING_FULL);
		return SL_WALK_NO_SPACE;
	}
	sl_fill_header(&record->header, SL_JAVA_STACK, sizeof(*record));
	record->stack = stack;
	record->asid = window->walk.asid;
	record->count = window->java_count;
	bpf_probe_read_kernel(record->frames, sizeof(record->frames), window->java);
	if (window->owner != owner) {
		bpf_ringbuf_discard(record, 0);
		return SL_WALK_CONTENDED;
	}
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}

#endif
