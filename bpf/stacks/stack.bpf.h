/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 2: the current task's user stack, by a per-PC rule cache.
 *
 * At a syscall boundary every frame is at a call site, and the paths that make or close sockets are few and repeat.
 * So the rule for each return address ("CFA = sp + 48, saved bp at CFA - 16") is a hash map entry that user space
 * compiles on demand from .eh_frame. A walk that lacks a rule ships a copy of the stack from there on; user space
 * finishes the walk on the copy and inserts all rules it needed, so the next walk of that path stays here.
 *
 * sl_step() is a global function of one number, and the walk's state lies in the window: the verifier checks it once,
 * not once per frame and per way to get there (static or inlined it took 880 k of the 1 M instructions; pointer
 * arguments would need 5.12).
 */
#ifndef SOCKLEAK_STACK_BPF_H
#define SOCKLEAK_STACK_BPF_H

#include "runtimes/java.bpf.h"
#include "runtimes/python.bpf.h"
#include "stacks/recall.bpf.h"
#include "stacks/stack_copy.bpf.h"

#define SL_PC_MASK ((1ull << SL_ASID_SHIFT) - 1)

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
	} else if (kind == SL_RULE_INTERPRETED) {
		sl_note_bp(window);
		sl_interpreted_frame(window, owner, bp, &pc, &cfa, &bp);
		if (!window->end && (cfa <= sp || (cfa & 7)))
			window->end = SL_WALK_INSANE;
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

/* One attempt at the current user stack, in a window that is `owner`'s: its hash, 0 = none; window->end says how the walk
 * ended, if the window is still owner's. Global for the verifier's sake, as sl_step(): checked once in each program,
 * not once for every place that wants a stack and every attempt. */
__weak __noinline __u64 sl_try_stack(__u64 owner, __u32 asid)
{
	struct sl_window *window = sl_this_window();
	struct pt_regs *regs = sl_user_regs();
	__u64 hash, refused;
	int i;

	if (!window || !regs)
		return 0;
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
	hash = window->recalled;
	if (hash && window->owner == owner) {
		sl_count(SL_COUNTER_STACKS_RECALLED);
		window->end = SL_WALK_COMPLETE;
		return hash;
	}
	window->anchor = window->sp;
	window->bp_from = 0;
	window->hash = sl_first_hash(window);
	window->count = 0;
	window->interrupted = 0;
	window->missed = 0;
	window->flags = 0;
	window->interpreted = 0;
	window->python_count = 0;
	window->python_end = 0;
	window->java_count = 0;
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
	if (window->missed)
		return sl_missed(window, owner);
	hash = sl_last_hash(window->hash, window->end);
	if (bpf_map_lookup_elem(&sl_seen, &hash)) {
		sl_remember(window, hash);
		return hash;
	}
	refused = sl_send_new(window, owner, hash);
	if (!refused)
		return hash;
	window->end = refused;
	return 0;
}

#define SL_ATTEMPTS 3

/* The current user stack of address space `asid`: its hash (0 = none), *end says how the walk ended. */
static __always_inline __u64 sl_user_stack(__u32 asid, __u32 *end)
{
	struct sl_window *window = sl_this_window();
	struct pt_regs *regs = sl_user_regs();
	__u64 hash = 0, owner;
	int attempt;

	*end = SL_WALK_NO_USER;
	if (!window || !regs)
		return 0;
	if (SL_LOAD(regs, cs) == 0x23) { /* __USER32_CS */
		sl_count(SL_COUNTER_COMPAT_TASK);
		return 0;
	}
	sl_count(SL_COUNTER_STACKS_WALKED);
	for (attempt = 0; attempt < SL_ATTEMPTS; attempt++) {
		owner = (bpf_get_current_pid_tgid() << 32) ^ ++window->turns;
		window->owner = owner;
		hash = sl_try_stack(owner, asid);
		*end = window->end;
		if (window->owner != owner) {
			window->owner = 0; /* the other one must not use what we may have overwritten */
			*end = SL_WALK_CONTENDED;
			hash = 0;
		}
		if (*end != SL_WALK_CONTENDED)
			break;
	}
	sl_count_end(*end);
	return hash;
}

#endif
