/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 2: what leaves the kernel of a stack: the frames of one not seen before, or a copy of user memory from where a
 * rule is missing. */
#ifndef SOCKLEAK_STACK_COPY_BPF_H
#define SOCKLEAK_STACK_COPY_BPF_H

#include "base/read.bpf.h"
#include "runtimes/java.bpf.h"
#include "runtimes/python.bpf.h"
#include "stacks/window.bpf.h"

#define SL_STACK_LIMIT (8ull << 20) /* frames further apart than a whole default stack are nonsense */
#define SL_THREAD_SIZE 16384 /* x86-64 kernel stack, arch/x86/include/asm/page_64_types.h */

#ifdef SL_PROBE_READS
static __always_inline struct pt_regs *sl_user_regs(void)
{
	struct task_struct *task = sl_task();
	void *stack = SL_LOAD(task, stack);

	if (SL_LOAD(task, flags) & SL_PF_KTHREAD)
		return NULL;
	return (struct pt_regs *)(stack + SL_THREAD_SIZE) - 1; /* task_pt_regs(), arch/x86/include/asm/processor.h */
}
#else
static __always_inline struct pt_regs *sl_user_regs(void)
{
	/* bpf_task_pt_regs: Linux commit dd6e10fbd9fb, 5.15 */
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		return (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	return NULL;
}
#endif

#define SL_GOROUTINE_STACK (1ull << 30) /* maxstacksize, src/runtime/proc.go: 1 GB unless the program raises it */

#define SL_GOROUTINE_GUARD 16384 /* where a goroutine's stack is taken for full: 928 bytes above its low end, or a few times that */

/* A goroutine's stackguard0 and stackguard1 lie a little above its stack's low end, or are one of the small negative
 * numbers that ask it to stop, or all ones (src/runtime/runtime2.go, stack.go). */
static __always_inline int sl_is_stack_guard(__u64 guard, __u64 low)
{
	return guard - low <= SL_GOROUTINE_GUARD || guard >= -(__u64)SL_PAGE;
}

/* Is `sp` on the stack of the goroutine at `g`? Then the bytes from there to its end, else 0. struct g begins with its
 * stack's bounds and two guards in all releases of Go; two words alone are not enough to know one by: in HotSpot's
 * interpreter the register that Go has `g` in points to a method's parameters, amid the stack. */
static __always_inline __u64 sl_goroutine_stack_left(__u64 g, __u64 sp)
{
	__u64 words[4] = {}, low, high;

	if (bpf_probe_read_user(words, sizeof(words), (void *)g))
		return 0;
	low = words[0];
	high = words[1];
	if (!low || ((low | high) & 7) || sp < low || sp >= high || high - low > SL_GOROUTINE_STACK ||
	    !sl_is_stack_guard(words[2], low) || !sl_is_stack_guard(words[3], low))
		return 0;
	return high - sp;
}

/* Bytes from `sp` to where the stack can hold no more frames; 0 = unknown. The first thread's stack ends at
 * mm->start_stack (below lie argc, argv, environment). Go has its goroutine in r14 and at fs:-8; the latter lies amid its
 * heap, so this is asked before the FS base, which glibc and musl let point to a thread's control block, right above its
 * stack. */
static __always_inline __u64 sl_stack_left(__u64 sp)
{
	struct task_struct *task = sl_task();
	__u64 fs = SL_LOAD(task, thread.fsbase), end, g, left;
	struct pt_regs *regs = sl_user_regs();

	end = SL_LOAD(task, mm, start_stack);
	if (end > sp && end - sp < 8 * SL_STACK_LIMIT)
		return end - sp;
	left = regs ? sl_goroutine_stack_left(SL_LOAD(regs, r14), sp) : 0;
	if (!left && !bpf_probe_read_user(&g, sizeof(g), (void *)(fs - 8)))
		left = sl_goroutine_stack_left(g, sp);
	if (left)
		return left;
	if (fs > sp && fs - sp < 8 * SL_STACK_LIMIT)
		return fs - sp;
	return 0;
}

/* Ships the stack from window->sp on: `room` bytes at most. */
static __always_inline int sl_ship(struct sl_window *window, __u64 owner, __u64 ticket, __u64 left, const __u32 room)
{
	struct {
		struct sl_stack_missed head;
		__u8 bytes[];
	} *record = bpf_ringbuf_reserve(&sl_stacks, sizeof(struct sl_stack_missed) + room, 0);
	__u64 length = left ? left : room, sp = window->sp, first;
	long error;

	if (!record) {
		sl_count(SL_COUNTER_STACK_RING_FULL);
		return SL_WALK_NO_SPACE;
	}
	SL_OPAQUE(length);
	if (length > room)
		length = room;
	error = length ? bpf_probe_read_user(record->bytes, length, (void *)sp) : 0;
	if (error) {
		/* a page of it is not there: take what there is up to this page's end */
		first = SL_PAGE - (sp & (SL_PAGE - 1));
		if (first < length)
			length = first;
		SL_OPAQUE(length);
		if (length > room)
			length = room;
		error = bpf_probe_read_user(record->bytes, length, (void *)sp);
		if (error)
			length = 0;
	}
	sl_fill_header(&record->head.header, SL_STACK_MISSED, sizeof(struct sl_stack_missed) + room);
	record->head.stack = ticket;
	record->head.pc = window->pc;
	record->head.sp = sp;
	record->head.bp = window->bp;
	record->head.asid = window->walk.asid;
	record->head.length = length;
	record->head.wanted = left;
	record->head.count = window->count;
	record->head.interrupted = window->interrupted;
	bpf_probe_read_kernel(record->head.frames, sizeof(record->head.frames), window->frames);
	if (window->owner != owner) {
		bpf_ringbuf_discard(record, 0);
		return SL_WALK_CONTENDED;
	}
	bpf_ringbuf_submit(record, 0);
	return 0;
}

/* The walk lacks the rule for window->pc: ship it. Returns a ticket that stands for the stack, 0 if refused. */
static __always_inline __u64 sl_missed(struct sl_window *window, __u64 owner)
{
	__u64 ticket, left;
	__u32 refused;
	int error;

	sl_count(SL_COUNTER_WALK_MISSED);
	left = sl_config.copy_stacks ? sl_stack_left(window->sp) : 8;
	ticket = sl_mix(sl_mix(window->hash, bpf_ktime_get_ns()), owner) & ~15ull;
	sl_python_send(window, owner, ticket);
	refused = sl_java_send(window, owner, ticket);
	if (refused) {
		window->end = refused;
		return 0;
	}
	if (left && left <= 1024)
		error = sl_ship(window, owner, ticket, left, 1024);
	else if (left && left <= 2048) /* most */
		error = sl_ship(window, owner, ticket, left, 2048);
	else if (left && left <= 4096)
		error = sl_ship(window, owner, ticket, left, 4096);
	else if (left <= 16384) /* or unknown */
		error = sl_ship(window, owner, ticket, left, 16384);
	else
		error = sl_ship(window, owner, ticket, left, 65536);
	if (error) {
		window->end = error;
		return 0;
	}
	return ticket;
}

/* Sends the frames in the window, a stack not seen before; 0, or why not. */
static __always_inline __u64 sl_send_frames(struct sl_window *window, __u64 owner, __u64 hash)
{
	struct sl_stack_seen *record;
	__u32 one = 1;

	record = bpf_ringbuf_reserve(&sl_stacks, sizeof(*record), 0);
	if (!record) {
		sl_count(SL_COUNTER_STACK_RING_FULL); /* not marked as seen: the next equal stack tries again */
		return SL_WALK_NO_SPACE;
	}
	sl_fill_header(&record->header, SL_STACK_SEEN, sizeof(*record));
	record->header.flags = window->flags;
	record->stack = hash;
	record->asid = window->walk.asid;
	record->count = window->count;
	record->end = window->end;
	record->padding = 0;
	bpf_probe_read_kernel(record->frames, sizeof(record->frames), window->frames);
	if (window->owner != owner) {
		bpf_ringbuf_discard(record, 0);
		return SL_WALK_CONTENDED;
	}
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	if (bpf_map_update_elem(&sl_seen, &hash, &one, BPF_ANY))
		sl_count(SL_COUNTER_SEEN_FULL);
	return 0;
}

/* The same with its Python frames, and the methods of its interpreted Java frames. */
static __always_inline __u64 sl_send_new(struct sl_window *window, __u64 owner, __u64 hash)
{
	__u32 refused;

	sl_python_send(window, owner, hash);
	refused = sl_java_send(window, owner, hash);
	if (refused)
		return refused;
	return sl_send_frames(window, owner, hash);
}

#endif
