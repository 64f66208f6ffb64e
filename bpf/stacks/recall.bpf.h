/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 2: walks seen before. A walk that came to its end is remembered as the places it read. Where the next one starts
 * at the same pc and sp, these places are read again: if they give the same hash, the rules would have led to the same
 * places, so this is the same stack, at a tenth of the price (docs/adr/0004-remembered-walks.md). */
#ifndef SOCKLEAK_RECALL_BPF_H
#define SOCKLEAK_RECALL_BPF_H

#include "stacks/window.bpf.h"

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
	__u64 hash, leads = 0, word, place, at, index;
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
		at = known->sp + (place & (SL_PLACE_LEADS - 1)) * 8;
		/* As sl_stack_word(), with fewer ways through it: the verifier goes each of them for every word. */
		index = (at - window->base) / 8;
		if (index >= window->bytes / 8) {
			sl_fill_window(at, owner);
			if (window->end)
				break;
			index = 0;
		}
		word = window->words[index & (SL_WINDOW_BYTES / 8 - 1)];
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

/* Of a stack that user space has: what is recalled is not sent again. Not with Python frames, which lie elsewhere. */
static __always_inline void sl_remember(struct sl_window *window, __u64 hash)
{
	__u32 slot = window->victim;

	if (window->end != SL_WALK_COMPLETE || window->interpreted || window->walk.reads >= SL_WALK_READS)
		return;
	window->walk.hash = hash;
	bpf_map_update_elem(&sl_walks, &slot, &window->walk, BPF_ANY);
}

#endif
