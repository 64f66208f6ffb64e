/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 1: what the walks along native and Python frames share: the window, and the mixing of hashes. */
#ifndef SOCKLEAK_WINDOW_BPF_H
#define SOCKLEAK_WINDOW_BPF_H

#include "maps.bpf.h"

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

#endif
