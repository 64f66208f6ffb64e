/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 2: the current task's user stack, by a per-PC rule cache.
 *
 * At a syscall boundary every frame is at a call site, and the paths that make or close sockets are few and repeat.
 * So the rule for each return address ("CFA = sp + 48, saved bp at CFA - 16") is a hash map entry that user space
 * compiles on demand from .eh_frame. A walk that lacks a rule ships a copy of the stack from there on; user space
 * finishes the walk on the copy and inserts all rules it needed, so the next walk of that path stays here.
 *
 * The window: user memory is read about 1 KB at a time into per-CPU memory. A program may be preempted by another
 * one on the same CPU (preemptible kernels), and 5.10 has no compare-and-exchange, so each reader stamps the window
 * with its own number before it fills it and looks for that number afterwards; whoever finds a foreign one spoils the
 * window and gives up (SL_WALK_CONTENDED), and so does the one it may have disturbed.
 *
 * sl_step() is a global function of one number, and the walk's state lies in the window: the verifier checks it once,
 * not once per frame and per way to get there (static or inlined it took 880 k of the 1 M instructions; pointer
 * arguments would need 5.12).
 *
 * A walk that came to its end is remembered as the places it read. Where the next one starts at the same pc and sp,
 * these places are read again: if they give the same hash, the rules would have led to the same places, so this is the
 * same stack, at a tenth of the price (docs/adr/0004-remembered-walks.md).
 */
#ifndef SOCKLEAK_STACK_BPF_H
#define SOCKLEAK_STACK_BPF_H

#include "python.bpf.h"
#include "read.bpf.h"
#include "window.bpf.h"

#define SL_PAGE 4096
#define SL_STACK_LIMIT (8ull << 20) /* frames further apart than a whole default stack are nonsense */
#define SL_THREAD_SIZE 16384 /* x86-64 kernel stack, arch/x86/include/asm/page_64_types.h */

#define SL_PC_MASK ((1ull << SL_ASID_SHIFT) - 1)

/* Reads user memory from `address` on into the window; on failure window->end says why. Prefers not to cross a page:
 * the next one may not be there. */
__weak __noinline int sl_fill_window(__u64 address, __u64 owner)
{
	__u64 to_page_end = SL_PAGE - (address & (SL_PAGE - 1));
	struct sl_window *window = sl_this_window();
	__u64 length = to_page_end;
	long error;

	if (!window)
		return 0;
	if (window->owner != owner) {
		window->owner = 0;
		window->end = SL_WALK_CONTENDED;
		return 0;
	}
	if (length < 256)
		length = SL_WINDOW_BYTES;
	SL_OPAQUE(length);
	if (length > SL_WINDOW_BYTES)
		length = SL_WINDOW_BYTES;
	window->bytes = 0;
	error = bpf_probe_read_user(window->words, length, (void *)address);
	if (error) {
		length = to_page_end & (SL_WINDOW_BYTES - 1);
		error = bpf_probe_read_user(window->words, length, (void *)address);
	}
	if (window->owner != owner) {
		window->owner = 0; /* the other one must not use what we may have overwritten */
		window->end = SL_WALK_CONTENDED;
		return 0;
	}
	if (error || length < 8) {
		window->end = SL_WALK_READ_FAILED;
		return 0;
	}
	window->base = address;
	window->bytes = length;
	return 0;
}

/* The word of user memory at `address` through the window; on failure 0, and window->end says why. */
static __always_inline __u64 sl_stack_word(struct sl_window *window, __u64 address, __u64 owner)
{
	__u64 offset = address - window->base;

	if (window->end)
		return 0;
	if (address < window->base || offset + 8 > window->bytes) {
		sl_fill_window(address, owner);
		if (window->end)
			return 0;
		offset = 0;
	}
	if (offset & 7) {
		window->end = SL_WALK_INSANE;
		return 0;
	}
	return window->words[(offset / 8) & (SL_WINDOW_BYTES / 8 - 1)];
}

/* Notes that the walk depends on the word at `address`: a return address, which the stack's hash covers, or one that
 * leads on, such as a saved bp. */
static __always_inline void sl_note_read(struct sl_window *window, __u64 address, __u64 word, int is_return)
{
	__u64 place = (address - window->walk.sp) / 8, reads = window->walk.reads;

	if ((address & 7) || (window->walk.sp & 7) || place >= SL_PLACE_LEADS)
		window->walk.reads = reads = SL_WALK_READS; /* too far away to be remembered */
	if (reads >= SL_WALK_READS)
		return;
	if (!is_return) {
		window->walk.leads = sl_mix(window->walk.leads, word);
		place |= SL_PLACE_LEADS;
	}
	window->walk.places[reads & (SL_WALK_READS - 1)].at = place;
	window->walk.places[reads & (SL_WALK_READS - 1)].word = word;
	window->walk.reads = reads + 1;
}

/* A rule goes on from bp: the walk depends on where that came from. */
static __always_inline void sl_note_bp(struct sl_window *window)
{
	if (window->bp_from)
		sl_note_read(window, window->bp_from, window->bp, 0);
	else
		window->walk.needs_bp = 1;
	window->bp_from = 0;
}

#define SL_STEP_UP 0
#define SL_STEP_ENDED 1 /* window->end says how */

/* Notes the frame at window->pc and goes to its caller. */
__weak __noinline int sl_step(__u64 owner)
{
	struct sl_window *window = sl_this_window();
	__u64 key, pc, sp, bp, cfa;
	struct sl_rule *rule;
	int reload_bp = 1;
	__u8 kind;

	if (!window)
		return SL_STEP_ENDED;
	if (window->owner != owner) {
		window->owner = 0;
		window->end = SL_WALK_CONTENDED;
		return SL_STEP_ENDED;
	}
	pc = window->pc;
	sp = window->sp;
	bp = window->bp;
	if (pc < SL_PAGE || pc > SL_PC_MASK || sp - window->anchor > SL_STACK_LIMIT) {
		window->end = SL_WALK_INSANE;
		return SL_STEP_ENDED;
	}
	window->frames[window->count & SL_MAX_FRAMES] = pc;
	window->count++;
	window->hash = sl_mix(window->hash, pc);
	key = pc | (window->walk.asid << SL_ASID_SHIFT);
	rule = bpf_map_lookup_elem(&sl_rules, &key);
	if (!rule) {
		window->end = SL_WALK_MISSING_RULE;
		window->missed = 1;
		return SL_STEP_ENDED;
	}
	window->interpreted |= rule->kind & SL_RULE_PYTHON;
	kind = rule->kind & SL_RULE_KINDS;
	if (kind == SL_RULE_STOP) {
		window->end = rule->cfa_offset ? SL_WALK_MISSING_RULE : SL_WALK_COMPLETE;
		return SL_STEP_ENDED;
	}
	window->interrupted = kind == SL_RULE_SIGNAL;
	if (kind == SL_RULE_SIGNAL) {
		/* struct rt_sigframe: sp is at the ucontext, registers from 40 on (arch/x86/include/asm/sigframe.h) */
		bp = sl_stack_word(window, sp + 120, owner);
		window->bp_from = sp + 120;
		cfa = sl_stack_word(window, sp + 160, owner);
		sl_note_read(window, sp + 160, cfa, 0);
		pc = sl_stack_word(window, sp + 168, owner);
		sl_note_read(window, sp + 168, pc, 1);
		window->anchor = cfa; /* an alternate signal stack may lie anywhere */
	} else {
		cfa = sp;
		if (kind == SL_RULE_BP || kind == SL_RULE_BP_DEREF || kind == SL_RULE_BP_SWITCH) {
			sl_note_bp(window);
			cfa = bp;
		}
		cfa += (__s64)rule->cfa_offset;
		if (kind == SL_RULE_SP_DEREF || kind == SL_RULE_BP_DEREF) {
			__u64 from = cfa;

			cfa = sl_stack_word(window, from, owner);
			sl_note_read(window, from, cfa, 0);
		}
		if (rule->bp_offset < -8)
			window->bp_from = cfa + (__s64)rule->bp_offset;
		else if (kind == SL_RULE_BP_DEREF) /* realigned: the old bp is where bp points */
			window->bp_from = bp;
		else
			reload_bp = 0;
		if (reload_bp)
			bp = sl_stack_word(window, window->bp_from, owner);
		pc = sl_stack_word(window, cfa - 8, owner);
		sl_note_read(window, cfa - 8, pc, 1);
		if (kind == SL_RULE_BP_SWITCH)
			window->anchor = cfa;
		else if (!window->end && (cfa <= sp || (cfa & 7)))
			window->end = SL_WALK_INSANE;
	}
	if (window->end)
		return SL_STEP_ENDED;
	window->pc = pc;
	window->sp = cfa;
	window->bp = bp;
	return SL_STEP_UP;
}

static __always_inline __u64 sl_first_hash(const struct sl_window *window)
{
	return sl_mix(0x736f636b6c65616bull, window->walk.asid);
}

static __always_inline __u64 sl_last_hash(__u64 hash, __u64 end)
{
	return sl_mix(hash, end) | 1;
}

/* Is this the walk remembered in window->slot? Then window->recalled is its hash. By induction: equal pc, sp
 * and (if a rule asked for it) bp lead to the same place, and equal words there to the next one. */
__weak __noinline int sl_recall(__u64 owner)
{
	struct sl_window *window = sl_this_window();
	__u64 hash, leads = 0, word, place;
	struct sl_walk *known;
	__u32 slot, i;

	if (!window)
		return 0;
	slot = window->slot;
	known = bpf_map_lookup_elem(&sl_walks, &slot);
	if (!known || known->pc != window->walk.pc || known->sp != window->walk.sp || known->asid != window->walk.asid ||
	    known->generation != window->walk.generation) {
		window->victim = slot;
		return 0;
	}
	if (known->needs_bp && known->bp != window->walk.bp)
		return 0;
	hash = sl_mix(sl_first_hash(window), known->pc);
	for (i = 0; i < SL_WALK_READS; i++) {
		if (i >= known->reads)
			break;
		place = known->places[i].at;
		word = sl_stack_word(window, known->sp + (place & (SL_PLACE_LEADS - 1)) * 8, owner);
		if ((__u16)word != known->places[i].word)
			break;
		if (place & SL_PLACE_LEADS)
			leads = sl_mix(leads, word);
		else
			hash = sl_mix(hash, word);
	}
	hash = sl_last_hash(hash, SL_WALK_COMPLETE);
	if (!window->end && hash == known->hash && leads == known->leads)
		window->recalled = hash;
	window->end = 0; /* what was not readable now, the walk will find out by itself */
	return 0;
}

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

/* Is `sp` on the stack of the goroutine at `g`? Then the bytes from there to its end, else 0. struct g begins with its
 * stack's bounds in all releases of Go (src/runtime/runtime2.go); what other programs have there does not hold `sp`. */
static __always_inline __u64 sl_goroutine_stack_left(__u64 g, __u64 sp)
{
	__u64 bounds[2] = {};

	if (bpf_probe_read_user(bounds, sizeof(bounds), (void *)g) || sp < bounds[0] || sp >= bounds[1])
		return 0;
	return bounds[1] - sp;
}

/* Bytes from `sp` to where the stack can hold no more frames; 0 = unknown. Go has its goroutine in r14 and at fs:-8;
 * the latter lies amid its heap, so this is asked first. The first thread's stack ends at mm->start_stack (below lie
 * argc, argv, environment); glibc and musl put a thread's control block, which the FS base points to, right above its
 * stack. */
static __always_inline __u64 sl_stack_left(__u64 sp)
{
	struct task_struct *task = sl_task();
	__u64 fs = SL_LOAD(task, thread.fsbase), end, g, left;
	struct pt_regs *regs = sl_user_regs();

	left = regs ? sl_goroutine_stack_left(SL_LOAD(regs, r14), sp) : 0;
	if (!left && !bpf_probe_read_user(&g, sizeof(g), (void *)(fs - 8)))
		left = sl_goroutine_stack_left(g, sp);
	if (left)
		return left;
	end = SL_LOAD(task, mm, start_stack);
	if (end > sp && end - sp < 8 * SL_STACK_LIMIT)
		return end - sp;
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
	int error;

	sl_count(SL_COUNTER_WALK_MISSED);
	left = sl_config.copy_stacks ? sl_stack_left(window->sp) : 8;
	ticket = sl_mix(sl_mix(window->hash, bpf_ktime_get_ns()), owner) & ~15ull;
	sl_python_send(window, owner, ticket);
	if (left && left <= 1024)
		error = sl_ship(window, owner, ticket, left, 1024);
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

/* Sends the frames of a stack not seen before. */
static __always_inline void sl_send_new(struct sl_window *window, __u64 owner, __u64 hash)
{
	struct sl_stack_seen *record;
	__u32 one = 1;

	sl_python_send(window, owner, hash);
	record = bpf_ringbuf_reserve(&sl_stacks, sizeof(*record), 0);
	if (!record) {
		sl_count(SL_COUNTER_STACK_RING_FULL); /* not marked as seen: the next equal stack tries again */
		return;
	}
	sl_fill_header(&record->header, SL_STACK_SEEN, sizeof(*record));
	record->stack = hash;
	record->asid = window->walk.asid;
	record->count = window->count;
	record->end = window->end;
	record->padding = 0;
	bpf_probe_read_kernel(record->frames, sizeof(record->frames), window->frames);
	if (window->owner != owner) {
		bpf_ringbuf_discard(record, 0);
		return;
	}
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	if (bpf_map_update_elem(&sl_seen, &hash, &one, BPF_ANY))
		sl_count(SL_COUNTER_SEEN_FULL);
}

/* Of a stack that user space has: what is recalled is not sent again. Not with Python frames, which lie elsewhere. */
static __always_inline void sl_remember(struct sl_window *window, __u64 hash)
{
	__u32 slot = window->victim;

	if (window->end != SL_WALK_COMPLETE || window->interpreted || window->walk.reads >= SL_WALK_READS)
		return;
	window->walk.hash = hash;
	bpf_map_update_elem(&sl_walks, &slot, &window->walk, BPF_ANY);
}

static __always_inline void sl_count_end(__u64 end)
{
	if (end == SL_WALK_READ_FAILED)
		sl_count(SL_COUNTER_WALK_READ_FAILED);
	else if (end == SL_WALK_INSANE)
		sl_count(SL_COUNTER_WALK_INSANE);
	else if (end == SL_WALK_CONTENDED)
		sl_count(SL_COUNTER_WALK_CONTENDED);
	else if (end == SL_WALK_DEPTH)
		sl_count(SL_COUNTER_WALK_DEPTH);
}

/* The current user stack of address space `asid`: its hash (0 = none), *end says how the walk ended. */
static __always_inline __u64 sl_user_stack(__u32 asid, __u32 *end)
{
	struct sl_window *window = sl_this_window();
	struct pt_regs *regs = sl_user_regs();
	__u64 owner, hash = 0;
	int i;

	*end = SL_WALK_NO_USER;
	if (!window || !regs)
		return 0;
	if (SL_LOAD(regs, cs) == 0x23) { /* __USER32_CS */
		sl_count(SL_COUNTER_COMPAT_TASK);
		return 0;
	}
	sl_count(SL_COUNTER_STACKS_WALKED);
	owner = (bpf_get_current_pid_tgid() << 32) ^ ++window->turns;
	window->owner = owner;
	window->base = 0;
	window->bytes = 0;
	window->end = 0;
	window->walk.pc = window->pc = SL_LOAD(regs, ip);
	window->walk.sp = window->sp = SL_LOAD(regs, sp);
	window->walk.bp = window->bp = SL_LOAD(regs, bp);
	window->walk.asid = asid;
	window->walk.generation = sl_rule_generation;
	window->slot = (sl_mix(window->pc ^ window->sp, asid) & (SL_WALKS / SL_WALK_WAYS - 1)) * SL_WALK_WAYS;
	window->victim = window->slot + window->turns % SL_WALK_WAYS;
	window->recalled = 0;
	for (i = 0; i < SL_WALK_WAYS; i++) {
		sl_recall(owner);
		if (window->recalled)
			break;
		window->slot++;
	}
	if (window->recalled && window->owner == owner) {
		sl_count(SL_COUNTER_STACKS_RECALLED);
		*end = SL_WALK_COMPLETE;
		return window->recalled;
	}
	window->anchor = window->sp;
	window->bp_from = 0;
	window->hash = sl_first_hash(window);
	window->count = 0;
	window->interrupted = 0;
	window->missed = 0;
	window->interpreted = 0;
	window->python_count = 0;
	window->python_end = 0;
	window->walk.reads = 0;
	window->walk.needs_bp = 0;
	window->walk.leads = 0;
	for (i = 0; i < SL_MAX_FRAMES; i++) {
		if (sl_step(owner) != SL_STEP_UP)
			break;
	}
	if (!window->end)
		window->end = SL_WALK_DEPTH;
	if (window->owner == owner && (window->interpreted || window->missed))
		sl_python_walk(window, owner);
	if (window->owner != owner) {
		window->owner = 0;
		*end = SL_WALK_CONTENDED;
		sl_count(SL_COUNTER_WALK_CONTENDED);
		return 0;
	}
	if (window->missed) {
		hash = sl_missed(window, owner);
	} else {
		hash = sl_last_hash(window->hash, window->end);
		if (!bpf_map_lookup_elem(&sl_seen, &hash))
			sl_send_new(window, owner, hash);
		else
			sl_remember(window, hash);
	}
	*end = window->end;
	sl_count_end(*end);
	return hash;
}

#endif
