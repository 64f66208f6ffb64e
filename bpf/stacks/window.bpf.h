/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 2: a sliding view of the current task's user stack.
 *
 * User memory is read about 1 KB at a time into per-CPU memory. A program may be preempted by another one on the same
 * CPU (preemptible kernels), and 5.10 has no compare-and-exchange, so each walk stamps the window with its own number
 * and looks for that number wherever it relies on the contents. Whoever finds a foreign one spoils it, because the
 * other may rely on what was overwritten, and ends with SL_WALK_CONTENDED: both begin again. */
#ifndef SOCKLEAK_WINDOW_BPF_H
#define SOCKLEAK_WINDOW_BPF_H

#include "base/maps.bpf.h"

#define SL_PAGE 4096

/* Hides a value's origin from clang, so that the bound checked next is checked on the register that is used. */
#define SL_OPAQUE(variable) asm volatile("" : "+r"(variable))

static __always_inline __u64 sl_mix(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * 0x9E3779B97F4A7C15ull;
	return hash ^ (hash >> 29);
}

static __always_inline struct sl_window *sl_this_window(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&sl_windows, &zero);
}

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

#endif
